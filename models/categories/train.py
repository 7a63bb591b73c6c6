"""Train the classifier of categories and task tags on our own examples and write it as ONNX and JSON.

For each of the two, a pair of linear models sees the same prompt: complement naive Bayes the hashed words and 4-grams,
logistic regression the embedding. Their log-probabilities are averaged, since they err on different prompts, and
divided by a temperature.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import sklearn
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.preprocessing import normalize

from models.categories.classify import CLASSES, HEADER, MODEL, SCHEMA, Classifier
from models.categories.corpus import Example, own_examples, seeds, systems
from models.categories.embedding import DIMENSIONS, embedder
from models.categories.features import BUCKETS, SETTINGS, counts
from models.categories.taxonomy import TAGS, tag_examples

__all__ = ["LinearPair", "fit", "publish", "train_classifier"]

SMOOTHING = 1.0
REGULARISATION = 5.0
# Naive Bayes has extreme probabilities.
BAYES_TEMPERATURE = 0.3
# Its share of the average. A task is told by single words more than a subject is.
BAYES_SHARE, TAG_BAYES_SHARE = 0.5, 0.7
# Share of the examples that are repeated behind a common system message.
WITH_SYSTEM = 0.15
FOLDS = 4
TEMPERATURES = np.geomspace(0.2, 3.0, 60)


class Head(NamedTuple):
    """Hold a linear model over an embedding: ``coefficients`` is dimensions × classes."""

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]


class LinearPair(NamedTuple):
    """Hold both models over the same classes. ``weights`` is buckets × classes, ``rarity`` has one number a bucket.

    ``bayes_share`` is the share of naive Bayes in the average.
    """

    rarity: NDArray[np.float64]
    weights: NDArray[np.float64]
    head: Head
    bayes_share: float

    def log_probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the averaged log-probabilities at temperature 1: texts × classes."""
        rows = normalize(term_frequencies(texts).multiply(self.rarity).tocsr())
        bayes = _log_softmax(np.asarray(rows @ self.weights) / BAYES_TEMPERATURE)
        linear = _log_softmax(embeddings(texts) @ self.head.coefficients + self.head.intercepts)
        return np.asarray(self.bayes_share * bayes + (1 - self.bayes_share) * linear)


class TrainingReport(NamedTuple):
    """Describe a published model: number of ``examples`` of categories, their ``temperature`` and its ``version``."""

    examples: int
    temperature: float
    version: str


def train_classifier(folder: Path, extra: Sequence[Example] = ()) -> TrainingReport:
    """Train on our own examples, and on the operator's ``extra``, and write the model into ``folder``.

    The temperatures are those of least log loss on examples that were left out in turn.
    """
    examples, generated = [*own_examples(), *extra], seeds()
    temperature = _temperature(examples, generated, CLASSES, BAYES_SHARE)
    categories = fit(augment([*examples, *generated]), CLASSES, BAYES_SHARE)
    of_tags = [Example(text, tag, "tags") for tag, texts in tag_examples().items() for text in texts]
    tag_temperature = _temperature(of_tags, (), TAGS, TAG_BAYES_SHARE)
    tags = fit(of_tags, TAGS, TAG_BAYES_SHARE)
    graph = _graph({"categories": (categories, temperature), "tags": (tags, tag_temperature)})
    version = publish(folder, graph, (temperature, tag_temperature), len(examples) + len(generated))
    return TrainingReport(len(examples) + len(generated), temperature, version)


def term_frequencies(texts: Sequence[str]) -> Any:
    """Return sparse rows of 1 + ln of each bucket's count."""
    indptr, indices, values = [0], array("q"), array("d")
    for text in texts:
        found = counts(text)
        indices.extend(found.keys())
        values.extend(1.0 + math.log(count) for count in found.values())
        indptr.append(len(indices))
    return csr_matrix((np.array(values), np.array(indices), indptr), shape=(len(texts), BUCKETS))


def embeddings(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the embedding of each text as a row."""
    return np.array([embedder().embed(text) for text in texts]).reshape(len(texts), DIMENSIONS)


def augment(examples: Sequence[Example]) -> list[Example]:
    """Return the examples and, again, a share of them behind a system message."""
    dice, messages = random.Random(0), systems()
    again = [e for e in examples if dice.random() < WITH_SYSTEM]
    return [*examples, *(e._replace(text=f"{dice.choice(messages)}\n{e.text}") for e in again)]


def fit(examples: Sequence[Example], classes: Sequence[str], bayes_share: float) -> LinearPair:
    """Fit complement naive Bayes (Rennie et al. 2003) and a class-balanced logistic regression."""
    texts = [e.text for e in examples]
    truth = np.array([classes.index(e.category) for e in examples])
    frequencies = term_frequencies(texts)
    documents = np.asarray((frequencies > 0).sum(axis=0)).ravel()
    rarity = np.asarray(np.log((1 + len(texts)) / (1 + documents)) + 1)
    bayes = ComplementNB(alpha=SMOOTHING).fit(normalize(frequencies.multiply(rarity).tocsr()), truth)
    # Softmax depends on differences between classes alone; smaller numbers lose less in rounding.
    weights = (bayes.feature_log_prob_ - bayes.feature_log_prob_.mean(axis=0)).T
    return LinearPair(rarity, weights, _head(embeddings(texts), truth), bayes_share)


def publish(folder: Path, graph: onnx.ModelProto, temperatures: tuple[float, float], examples: int) -> str:
    """Write both files, load them once and return the version. Raises ``ClassifierInvalid`` if they do not load."""
    folder.mkdir(parents=True, exist_ok=True)
    content = graph.SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(content).hexdigest()
    header = {
        "schema": SCHEMA,
        "version": sha256[:12],
        "classes": CLASSES,
        "tags": TAGS,
        "features": SETTINGS,
        "embedding": embedder().version,
        "temperature": temperatures[0],
        "tag_temperature": temperatures[1],
        "examples": examples,
        "sha256": sha256,
        "scikit-learn": sklearn.__version__,
    }
    (folder / MODEL).write_bytes(content)
    (folder / HEADER).write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    return Classifier.load(folder).version


def _head(rows: NDArray[np.float32], truth: NDArray[np.int64]) -> Head:
    learner = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=200).fit(rows, truth)
    return Head(learner.coef_.T.astype(np.float32), learner.intercept_.astype(np.float32))


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _temperature(
    examples: Sequence[Example], generated: Sequence[Example], classes: Sequence[str], bayes_share: float
) -> float:
    """Return the temperature of least log loss on ``examples`` left out in turn; ``generated`` ones never are."""
    order = list(examples)
    random.Random(0).shuffle(order)
    found, truth = [], []
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = [e for place, e in enumerate(order) if place % FOLDS != fold]
        fitted = fit([*rest, *generated], classes, bayes_share)
        found.append(fitted.log_probabilities([e.text for e in held]))
        truth += [classes.index(e.category) for e in held]
    return _best_temperature(np.concatenate(found), np.array(truth))


def _best_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    def loss(temperature: float) -> float:
        return -float(_log_softmax(logits / temperature)[range(len(truth)), truth].mean())

    return round(float(min(TEMPERATURES, key=loss)), 3)


def _graph(outputs: Mapping[str, tuple[LinearPair, float]]) -> onnx.ModelProto:
    """Return the pairs, each with its temperature, as one graph with an output of probabilities for each."""
    value = helper.make_tensor_value_info
    nodes: list[onnx.NodeProto] = []
    constants = [numpy_helper.from_array(np.array([0], np.int64), "axis")]
    for name, (pair, temperature) in outputs.items():
        nodes += _nodes(name)
        constants += [numpy_helper.from_array(array, f"{name}_{of}") for of, array in _constants(pair, temperature)]
    graph = helper.make_graph(
        nodes,
        "labels",
        [
            value("buckets", TensorProto.INT64, ["n"]),
            value("frequencies", TensorProto.FLOAT, ["n"]),
            value("embedding", TensorProto.FLOAT, [DIMENSIONS]),
        ],
        [value(name, TensorProto.FLOAT, [pair.weights.shape[1]]) for name, (pair, _) in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _constants(pair: LinearPair, temperature: float) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the constants of a pair; the weights of the buckets are rounded to int8 with a scale for each class."""
    scales = np.abs(pair.weights).max(axis=0) / 127
    yield "rarity", pair.rarity.astype(np.float32)
    yield "weights", np.rint(pair.weights / scales).astype(np.int8)
    yield "scales", (scales / BAYES_TEMPERATURE).astype(np.float32)
    yield "coefficients", pair.head.coefficients
    yield "intercepts", pair.head.intercepts
    yield "bayes_share", np.array(pair.bayes_share / temperature, np.float32)
    yield "linear_share", np.array((1 - pair.bayes_share) / temperature, np.float32)


def _nodes(output: str) -> list[onnx.NodeProto]:
    """Return the nodes of the pair whose probabilities are ``output``; its other names begin with it."""

    def node(kind: str, inputs: str, result: str, **settings: Any) -> onnx.NodeProto:
        shared = ("buckets", "frequencies", "embedding", "axis")
        names = [name if name in shared else f"{output}_{name}" for name in inputs.split()]
        return helper.make_node(kind, names, [f"{output}_{result}" if result else output], **settings)

    return [
        node("Gather", "rarity buckets", "rare", axis=0),
        node("Mul", "rare frequencies", "row"),
        node("ReduceL2", "row axis", "norm", keepdims=1),
        node("Div", "row norm", "unit"),
        node("Gather", "weights buckets", "chosen", axis=0),
        node("Cast", "chosen", "floats", to=TensorProto.FLOAT),
        node("MatMul", "unit floats", "sums"),
        node("Mul", "sums scales", "bayes_logits"),
        node("LogSoftmax", "bayes_logits", "bayes", axis=0),
        node("MatMul", "embedding coefficients", "products"),
        node("Add", "products intercepts", "linear_logits"),
        node("LogSoftmax", "linear_logits", "linear", axis=0),
        node("Mul", "bayes bayes_share", "bayes_part"),
        node("Mul", "linear linear_share", "linear_part"),
        node("Add", "bayes_part linear_part", "both"),
        node("Softmax", "both", "", axis=0),
    ]
