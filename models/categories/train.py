"""Train complement naive Bayes on examples and publish int8 weights in ``weights.npz`` with their ``weights.json``."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.preprocessing import normalize

from models.categories.classify import SCHEMA, Classifier
from models.categories.corpus import NONE, Example, systems
from models.categories.features import BUCKETS, SETTINGS, WORD_BUCKETS, counts
from models.categories.taxonomy import CATEGORIES

__all__ = ["CLASSES", "FittedClassifier", "augment", "fit", "publish", "term_frequencies"]

CLASSES = (*CATEGORIES, NONE)
SMOOTHING = 1.0
# Chosen, as the learner is, by the sources that are trained on: see docs/categories.md.
NGRAM_WEIGHT = 1.0
# Share of the examples that are repeated behind a common system message.
WITH_SYSTEM = 0.15


class FittedClassifier(NamedTuple):
    """Hold a model over ``CLASSES``.

    ``rarity`` (buckets) multiplies the term frequencies; ``coefficients`` is classes × buckets, ``intercepts`` classes.
    """

    rarity: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def probabilities(self, frequencies: Any, temperature: float = 1.0) -> NDArray[np.float64]:
        """Return the softmax of the logits over ``temperature``, for rows of ``term_frequencies``: rows × classes."""
        rows = normalize(frequencies.multiply(self.rarity).tocsr())
        logits = np.asarray(rows @ self.coefficients.T + self.intercepts) / temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def term_frequencies(texts: Sequence[str]) -> Any:
    """Return sparse rows of 1 + ln of each bucket's count."""
    indptr, indices, values = [0], array("q"), array("d")
    for text in texts:
        found = counts(text)
        indices.extend(found.keys())
        values.extend(1.0 + math.log(count) for count in found.values())
        indptr.append(len(indices))
    return csr_matrix((np.array(values), np.array(indices), indptr), shape=(len(texts), BUCKETS))


def augment(examples: Sequence[Example]) -> list[Example]:
    """Return the examples and, again, a share of them behind a system message."""
    dice, messages = random.Random(0), systems()
    again = [e for e in examples if dice.random() < WITH_SYSTEM]
    return [*examples, *(e._replace(text=f"{dice.choice(messages)}\n{e.text}") for e in again)]


def fit(
    examples: Sequence[Example], frequencies: Any, ngram_weight: float = NGRAM_WEIGHT, c: float | None = None
) -> FittedClassifier:
    """Fit complement naive Bayes (Rennie et al. 2003) on the examples and their ``term_frequencies``.

    With ``c``, the inverse of the regularisation, fit a class-balanced multinomial logistic regression instead.
    """
    rarity = inverse_document_frequency(frequencies)
    rarity[WORD_BUCKETS:] *= ngram_weight
    rows = normalize(frequencies.multiply(rarity).tocsr())
    truth = np.array([CLASSES.index(e.category) for e in examples])
    coefficients = np.zeros((len(CLASSES), BUCKETS))
    # A class without an example must never be the most likely.
    intercepts = np.full(len(CLASSES), -1000.0)
    if c is None:
        bayes = ComplementNB(alpha=SMOOTHING).fit(rows, truth)
        # Softmax depends on differences between classes alone; smaller numbers lose less in rounding.
        coefficients[bayes.classes_] = bayes.feature_log_prob_ - bayes.feature_log_prob_.mean(axis=0)
        intercepts[bayes.classes_] = 0.0
    else:
        learner = LogisticRegression(C=c, class_weight="balanced", max_iter=150, tol=2e-4).fit(rows, truth)
        coefficients[learner.classes_], intercepts[learner.classes_] = learner.coef_, learner.intercept_
    return FittedClassifier(rarity, coefficients, intercepts)


def inverse_document_frequency(frequencies: Any) -> NDArray[np.float64]:
    """Return 1 + ln((1 + rows) / (1 + rows with the bucket))."""
    documents = np.asarray((frequencies > 0).sum(axis=0)).ravel()
    return np.asarray(np.log((1 + frequencies.shape[0]) / (1 + documents)) + 1)


def publish(folder: Path, fitted: FittedClassifier, temperature: float, facts: dict[str, Any]) -> FittedClassifier:
    """Write both files, load them once and return the weights as they will be served, rounded to int8.

    ``facts`` goes into the header unread. Raises ``ClassifierInvalid`` if the written files do not load.
    """
    rarity = fitted.rarity.astype(np.float32)
    scales = np.abs(fitted.coefficients).max(axis=1) / 127
    rounded = np.rint(fitted.coefficients / scales[:, None]).astype(np.int8)
    buffer = io.BytesIO()
    weights = np.ascontiguousarray(rounded.T)
    np.savez_compressed(buffer, rarity=rarity, weights=weights, scales=scales, intercepts=fitted.intercepts)
    header = {
        "schema": SCHEMA,
        "classes": CLASSES,
        "features": SETTINGS,
        "temperature": temperature,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "scikit-learn": sklearn.__version__,
        **facts,
    }
    (folder / "weights.npz").write_bytes(buffer.getvalue())
    (folder / "weights.json").write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    Classifier.load(folder)
    return FittedClassifier(rarity.astype(float), rounded * scales[:, None], fitted.intercepts)
