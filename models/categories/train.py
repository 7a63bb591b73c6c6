"""Train the category classifier on our own examples and write it as ONNX and JSON.

Two linear models see the same prompt: complement naive Bayes the hashed words and 4-grams, logistic regression the
embedding. Their log-probabilities are averaged, since they err on different prompts, and divided by a temperature.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from array import array
from collections.abc import Sequence
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

__all__ = ["FittedClassifier", "fit", "fit_tags", "publish", "train_classifier"]

SMOOTHING = 1.0
REGULARISATION = 5.0
# A tag has few examples, which are all alike in length.
TAG_REGULARISATION = 30.0
# Temperature of naive Bayes, whose probabilities are extreme, and its share of the average.
BAYES_TEMPERATURE, BAYES_SHARE = 0.3, 0.5
# Share of the examples that are repeated behind a common system message.
WITH_SYSTEM = 0.15
FOLDS = 4
TEMPERATURES = np.geomspace(0.2, 3.0, 60)


class Head(NamedTuple):
    """Hold a linear model over an embedding: ``coefficients`` is dimensions × classes."""

    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]


class FittedClassifier(NamedTuple):
    """Hold both models over ``CLASSES``. ``weights`` is buckets × classes, ``rarity`` has one number a bucket."""

    rarity: NDArray[np.float64]
    weights: NDArray[np.float64]
    head: Head

    def log_probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the averaged log-probabilities at temperature 1: texts × classes."""
        rows = normalize(term_frequencies(texts).multiply(self.rarity).tocsr())
        bayes = _log_softmax(np.asarray(rows @ self.weights) / BAYES_TEMPERATURE)
        linear = _log_softmax(embeddings(texts) @ self.head.coefficients + self.head.intercepts)
        return np.asarray(BAYES_SHARE * bayes + (1 - BAYES_SHARE) * linear)


class TrainingReport(NamedTuple):
    """Describe a published model: number of ``examples``, its ``temperature`` and its ``version``."""

    examples: int
    temperature: float
    version: str


def train_classifier(folder: Path, extra: Sequence[Example] = ()) -> TrainingReport:
    """Train on our own examples, and on the operator's ``extra``, and write the model into ``folder``.

    The temperature is the one of least log loss on examples that were left out in turn.
    """
    examples = [*own_examples(), *extra]
    generated = seeds()
    temperature = _temperature(examples, generated)
    fitted = fit(augment([*examples, *generated]))
    version = publish(folder, fitted, fit_tags(), temperature, len(examples) + len(generated))
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


def fit(examples: Sequence[Example]) -> FittedClassifier:
    """Fit complement naive Bayes (Rennie et al. 2003) and a class-balanced logistic regression."""
    texts = [e.text for e in examples]
    truth = np.array([CLASSES.index(e.category) for e in examples])
    frequencies = term_frequencies(texts)
    documents = np.asarray((frequencies > 0).sum(axis=0)).ravel()
    rarity = np.asarray(np.log((1 + len(texts)) / (1 + documents)) + 1)
    bayes = ComplementNB(alpha=SMOOTHING).fit(normalize(frequencies.multiply(rarity).tocsr()), truth)
    # Softmax depends on differences between classes alone; smaller numbers lose less in rounding.
    weights = (bayes.feature_log_prob_ - bayes.feature_log_prob_.mean(axis=0)).T
    return FittedClassifier(rarity, weights, _head(embeddings(texts), truth))


def fit_tags() -> Head:
    """Fit the task tags on the embeddings of the taxonomy's examples, at the temperature of least left-out log loss."""
    pairs = [(text, tag) for tag, texts in tag_examples().items() for text in texts]
    truth = np.array([TAGS.index(tag) for _, tag in pairs])
    rows = embeddings([text for text, _ in pairs])
    logits = np.zeros((len(pairs), len(TAGS)))
    for fold in range(FOLDS):
        held = np.arange(len(pairs)) % FOLDS == fold
        found = _head(rows[~held], truth[~held], TAG_REGULARISATION)
        logits[held] = rows[held] @ found.coefficients + found.intercepts
    temperature = _best_temperature(logits, truth)
    found = _head(rows, truth, TAG_REGULARISATION)
    return Head(found.coefficients / temperature, found.intercepts / temperature)


def publish(folder: Path, fitted: FittedClassifier, tags: Head, temperature: float, examples: int) -> str:
    """Write both files, load them once and return the version. Raises ``ClassifierInvalid`` if they do not load."""
    folder.mkdir(parents=True, exist_ok=True)
    content = _graph(fitted, tags, temperature).SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(content).hexdigest()
    header = {
        "schema": SCHEMA,
        "version": sha256[:12],
        "classes": CLASSES,
        "tags": TAGS,
        "features": SETTINGS,
        "embedding": embedder().version,
        "temperature": temperature,
        "examples": examples,
        "sha256": sha256,
        "scikit-learn": sklearn.__version__,
    }
    (folder / MODEL).write_bytes(content)
    (folder / HEADER).write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    return Classifier.load(folder).version


def _head(rows: NDArray[np.float32], truth: NDArray[np.int64], c: float = REGULARISATION) -> Head:
    learner = LogisticRegression(C=c, class_weight="balanced", max_iter=200).fit(rows, truth)
    return Head(learner.coef_.T.astype(np.float32), learner.intercept_.astype(np.float32))


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _temperature(examples: Sequence[Example], generated: Sequence[Example]) -> float:
    order = list(examples)
    random.Random(0).shuffle(order)
    found, truth = [], []
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = [e for place, e in enumerate(order) if place % FOLDS != fold]
        found.append(fit([*rest, *generated]).log_probabilities([e.text for e in held]))
        truth += [CLASSES.index(e.category) for e in held]
    return _best_temperature(np.concatenate(found), np.array(truth))


def _best_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    def loss(temperature: float) -> float:
        return -float(_log_softmax(logits / temperature)[range(len(truth)), truth].mean())

    return round(float(min(TEMPERATURES, key=loss)), 3)


def _graph(fitted: FittedClassifier, tags: Head, temperature: float) -> onnx.ModelProto:
    """Return both heads as one graph; the weights of the buckets are rounded to int8 with a scale for each class."""
    scales = np.abs(fitted.weights).max(axis=0) / 127
    constants = {
        "rarity": fitted.rarity.astype(np.float32),
        "weights": np.rint(fitted.weights / scales).astype(np.int8),
        "scales": (scales / BAYES_TEMPERATURE).astype(np.float32),
        "coefficients": fitted.head.coefficients,
        "intercepts": fitted.head.intercepts,
        "bayes_share": np.array(BAYES_SHARE / temperature, np.float32),
        "linear_share": np.array((1 - BAYES_SHARE) / temperature, np.float32),
        "tag_coefficients": tags.coefficients,
        "tag_intercepts": tags.intercepts,
        "axis": np.array([0], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["rarity", "buckets"], ["rare"], axis=0),
        node("Mul", ["rare", "frequencies"], ["row"]),
        node("ReduceL2", ["row", "axis"], ["norm"], keepdims=1),
        node("Div", ["row", "norm"], ["unit"]),
        node("Gather", ["weights", "buckets"], ["chosen"], axis=0),
        node("Cast", ["chosen"], ["floats"], to=TensorProto.FLOAT),
        node("MatMul", ["unit", "floats"], ["sums"]),
        node("Mul", ["sums", "scales"], ["bayes_logits"]),
        node("LogSoftmax", ["bayes_logits"], ["bayes"], axis=0),
        node("MatMul", ["embedding", "coefficients"], ["products"]),
        node("Add", ["products", "intercepts"], ["linear_logits"]),
        node("LogSoftmax", ["linear_logits"], ["linear"], axis=0),
        node("Mul", ["bayes", "bayes_share"], ["bayes_part"]),
        node("Mul", ["linear", "linear_share"], ["linear_part"]),
        node("Add", ["bayes_part", "linear_part"], ["both"]),
        node("Softmax", ["both"], ["categories"], axis=0),
        node("MatMul", ["embedding", "tag_coefficients"], ["tag_products"]),
        node("Add", ["tag_products", "tag_intercepts"], ["tag_logits"]),
        node("Softmax", ["tag_logits"], ["tags"], axis=0),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "categories",
        [
            value("buckets", TensorProto.INT64, ["n"]),
            value("frequencies", TensorProto.FLOAT, ["n"]),
            value("embedding", TensorProto.FLOAT, [DIMENSIONS]),
        ],
        [value("categories", TensorProto.FLOAT, [len(CLASSES)]), value("tags", TensorProto.FLOAT, [len(TAGS)])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model
