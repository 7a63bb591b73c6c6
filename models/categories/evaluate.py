"""Score a category classifier, and the two baselines that it must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from models.categories.corpus import NONE, Example, keywords
from models.categories.features import TOKEN, cut
from models.categories.taxonomy import CATEGORIES

__all__ = [
    "Agreement", "ClassificationScores", "agreement", "calibration_error", "kept", "keyword_labels", "labels",
    "majority_labels", "score",
]  # fmt: skip

BINS = 10


class ClassificationScores(NamedTuple):
    """Hold scores over the prompts of the twelve categories alone.

    ``macro_f1`` weighs each occurring category the same. ``rows`` maps a category to precision, recall, F1 and number
    of prompts.
    """

    n: int
    accuracy: float
    macro_f1: float
    rows: dict[str, tuple[float, float, float, int]]


class Agreement(NamedTuple):
    """Compare two labellings of the same prompts: the share that has the same label, and Cohen's kappa."""

    prompts: int
    share: float
    kappa: float


def labels(chances: NDArray[np.float64]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the most likely of the twelve for each row of probabilities, and its probability."""
    twelve = chances[:, : len(CATEGORIES)]
    return [CATEGORIES[best] for best in twelve.argmax(axis=1)], twelve.max(axis=1)


def score(examples: Sequence[Example], predicted: Sequence[str]) -> ClassificationScores:
    """Score one label per example; examples that belong to none of the twelve are left out."""
    pairs = [(e.category, p) for e, p in zip(examples, predicted, strict=True) if e.category != NONE]
    truth, found = [a for a, _ in pairs], [b for _, b in pairs]
    present = [c for c in CATEGORIES if c in truth]
    columns: Any = precision_recall_fscore_support(truth, found, labels=present, zero_division=0.0)
    rows = {c: (float(p), float(r), float(f), int(n)) for c, p, r, f, n in zip(present, *columns, strict=True)}
    accuracy = sum(a == b for a, b in pairs) / len(pairs)
    return ClassificationScores(len(pairs), accuracy, float(np.mean(columns[2])), rows)


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Return how often the two labels of a prompt are the same, and how much oftener than by chance."""
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    share = sum(a == b for a, b in pairs) / len(pairs)
    return Agreement(len(pairs), share, float(cohen_kappa_score(first, second)))


def calibration_error(
    examples: Sequence[Example], predicted: Sequence[str], confidence: NDArray[np.float64], *, none: bool
) -> float:
    """Return the expected calibration error in ``BINS`` equal bins.

    With ``none`` it is over all prompts, and any label of a prompt that belongs to none of the twelve is wrong.
    """
    judged = [(e.category == p, c) for e, p, c in zip(examples, predicted, confidence, strict=True) if _in(e, none)]
    right, sure = np.array([r for r, _ in judged], dtype=float), np.array([c for _, c in judged])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def kept(
    examples: Sequence[Example], predicted: Sequence[str], confidence: NDArray[np.float64], threshold: float
) -> tuple[float, float, float]:
    """Return three shares at a confidence of at least ``threshold``.

    They are the share of the twelve that is kept, its accuracy, and the share of ``none`` that is kept.
    """
    rows = list(zip(examples, predicted, confidence >= threshold, strict=True))
    twelve = [(e.category == p, k) for e, p, k in rows if e.category != NONE]
    none = [k for e, _, k in rows if e.category == NONE]
    right = [r for r, k in twelve if k]
    return len(right) / len(twelve), sum(right) / max(len(right), 1), sum(none) / max(len(none), 1)


def majority_labels(training: Sequence[Example], examples: Sequence[Example]) -> list[str]:
    """Label every prompt with the most frequent category of the training prompts."""
    commonest = Counter(e.category for e in training if e.category != NONE).most_common(1)[0][0]
    return [commonest] * len(examples)


def keyword_labels(examples: Sequence[Example]) -> list[str]:
    """Label by the category with the most keywords in the prompt; the first in order if several or none have."""
    words = {category: frozenset(found) for category, found in keywords().items()}
    predicted = []
    for example in examples:
        tokens = TOKEN.findall(cut(example.text).lower())
        hits = [sum(token in found for token in tokens) for found in words.values()]
        predicted.append(CATEGORIES[hits.index(max(hits))])
    return predicted


def _in(example: Example, none: bool) -> bool:
    return none or example.category != NONE
