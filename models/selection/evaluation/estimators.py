"""Off-policy estimators of a policy's value: inverse propensity, self-normalised, doubly robust.

Each is a ratio of two sums over decisions, so that a bootstrap need only add up blocks:
IPS (Horvitz and Thompson 1952) Σ w r / n; SNIPS (Swaminathan and Joachims 2015) Σ w r / Σ w;
DR (Dudík, Langford and Li 2011) Σ (Σ_a π(a) q(a) + w (r - q(chosen))) / n, with q fitted on other blocks
(cross-fitting, Chernozhukov et al. 2018). w = π(chosen) / propensity. No weight is clipped: where clipping
would be needed the evaluation refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from models.selection.dataset.logged_decisions import LoggedDecisions
from models.selection.decision.arrays import Floats, Ints

FOLDS = 5
SHRINKAGE = 20.0

# Fits on the first log and predicts the reward of every candidate of the second, shape (n, k).
OutcomeModel = Callable[[LoggedDecisions, LoggedDecisions], Floats]


class RatioTerms(NamedTuple):
    """One decision's share in the two sums; both of shape (n,)."""

    numerator: Floats
    denominator: Floats

    def value(self) -> float:
        return float(self.numerator.sum() / self.denominator.sum())


def importance_weights(decisions: LoggedDecisions, target: Floats) -> Floats:
    """π(chosen) / propensity, (n,); ``target`` of shape (n, k)."""
    chances: Floats = target[np.arange(len(decisions.chosen)), decisions.chosen]
    return chances / decisions.propensity


def ips(weight: Floats, reward: Floats) -> RatioTerms:
    return RatioTerms(weight * reward, np.ones_like(reward))


def snips(weight: Floats, reward: Floats) -> RatioTerms:
    return RatioTerms(weight * reward, weight)


def doubly_robust(decisions: LoggedDecisions, target: Floats, weight: Floats, predicted: Floats) -> RatioTerms:
    """``predicted`` of shape (n, k) must come from blocks other than the decision's own."""
    of_chosen = predicted[np.arange(len(weight)), decisions.chosen]
    expected = (target * predicted).sum(axis=1)
    return RatioTerms(expected + weight * (decisions.reward - of_chosen), np.ones_like(weight))


def cross_fit(decisions: LoggedDecisions, model: OutcomeModel, folds: int = FOLDS) -> Floats:
    """Predictions of shape (n, k), each from a model that saw none of the decision's neighbours in time."""
    _, rank = np.unique(decisions.block, return_inverse=True)
    fold = rank * folds // (int(rank.max()) + 1)
    predicted = np.zeros_like(decisions.logged)
    for number in np.unique(fold):
        held_out = fold == number
        predicted[held_out] = model(decisions.where(~held_out), decisions.where(held_out))
    return predicted


def endpoint_means(train: LoggedDecisions, test: LoggedDecisions) -> Floats:
    """Mean reward of the endpoint in the segment, shrunk to the endpoint's and that to the market's."""
    market = float(train.reward.mean()) if len(train.reward) else 0.0
    endpoints = int(max(train.endpoints.max(initial=-1), test.endpoints.max(initial=-1))) + 1
    names, codes = np.unique(np.concatenate([train.segment, test.segment]), return_inverse=True)
    of_train, of_test = codes[: len(train.segment)], codes[len(train.segment) :]
    taken = train.endpoints[np.arange(len(train.chosen)), train.chosen]
    plain = _shrunk(taken, train.reward, np.full(endpoints, market))
    by_segment = _shrunk(
        of_train.astype(np.int64) * endpoints + taken, train.reward, np.tile(plain, len(names))
    ).reshape(len(names), endpoints)
    return by_segment[of_test[:, None], np.maximum(test.endpoints, 0)]


def _shrunk(group: Ints, reward: Floats, prior: Floats) -> Floats:
    count = np.bincount(group, minlength=len(prior))
    total = np.bincount(group, weights=reward, minlength=len(prior))
    shrunk: Floats = (total + SHRINKAGE * prior) / (count + SHRINKAGE)
    return shrunk
