"""Estimate a policy's value from the log: inverse propensity, self-normalised and doubly robust.

Each estimator is a ratio of two sums over decisions, so that a bootstrap need only add up blocks: IPS (Horvitz and
Thompson 1952) Σ w r / n; SNIPS (Swaminathan and Joachims 2015) Σ w r / Σ w; DR (Dudík, Langford and Li 2011) Σ (Σ_a
π(a) q(a) + w (r - q(chosen))) / n, with q fitted on other blocks (cross-fitting, Chernozhukov et al. 2018). w =
π(chosen) / propensity. No weight is clipped: where clipping would be needed, the evaluation refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from models.selection.dataset.logged_decisions import LoggedDecisions
from models.selection.decision.arrays import Floats, Ints

FOLDS = 5
SHRINKAGE = 20.0

# An outcome model fits on the first log and predicts the reward of every candidate of the second, (n, k).
OutcomeModel = Callable[[LoggedDecisions, LoggedDecisions], Floats]


class RatioTerms(NamedTuple):
    """Hold each decision's terms of the two sums, both (n,)."""

    numerator: Floats
    denominator: Floats

    def value(self) -> float:
        """Return the ratio of the sums."""
        return float(self.numerator.sum() / self.denominator.sum())


def importance_weights(decisions: LoggedDecisions, target: Floats) -> Floats:
    """Return π(chosen) / propensity, (n,), for ``target`` probabilities (n, k)."""
    probabilities: Floats = target[np.arange(len(decisions.chosen)), decisions.chosen]
    return probabilities / decisions.propensity


def ips(weight: Floats, reward: Floats) -> RatioTerms:
    """Return the terms of inverse propensity scoring."""
    return RatioTerms(weight * reward, np.ones_like(reward))


def snips(weight: Floats, reward: Floats) -> RatioTerms:
    """Return the terms of self-normalised inverse propensity scoring."""
    return RatioTerms(weight * reward, weight)


def doubly_robust(decisions: LoggedDecisions, target: Floats, weight: Floats, predicted: Floats) -> RatioTerms:
    """Return the terms of the doubly robust estimator.

    ``predicted`` rewards (n, k) must come from blocks other than the decision's own.
    """
    predicted_for_chosen = predicted[np.arange(len(weight)), decisions.chosen]
    expected = (target * predicted).sum(axis=1)
    return RatioTerms(expected + weight * (decisions.reward - predicted_for_chosen), np.ones_like(weight))


def cross_fit(decisions: LoggedDecisions, model: OutcomeModel, folds: int = FOLDS) -> Floats:
    """Predict rewards (n, k), each by a model that saw none of the decision's neighbours in time."""
    _, rank = np.unique(decisions.block, return_inverse=True)
    fold = rank * folds // (int(rank.max()) + 1)
    predicted = np.zeros_like(decisions.logged)
    for number in np.unique(fold):
        held_out = fold == number
        predicted[held_out] = model(decisions.where(~held_out), decisions.where(held_out))
    return predicted


def endpoint_means(train: LoggedDecisions, test: LoggedDecisions) -> Floats:
    """Predict the mean reward of the endpoint in the segment, shrunk to the endpoint's and that to the market's."""
    market = float(train.reward.mean()) if len(train.reward) else 0.0
    endpoints = int(max(train.endpoints.max(initial=-1), test.endpoints.max(initial=-1))) + 1
    names, codes = np.unique(np.concatenate([train.segment, test.segment]), return_inverse=True)
    train_segment, test_segment = codes[: len(train.segment)], codes[len(train.segment) :]
    chosen_endpoint = train.endpoints[np.arange(len(train.chosen)), train.chosen]
    by_endpoint = _shrunk(chosen_endpoint, train.reward, np.full(endpoints, market))
    by_segment = _shrunk(
        train_segment.astype(np.int64) * endpoints + chosen_endpoint, train.reward, np.tile(by_endpoint, len(names))
    ).reshape(len(names), endpoints)
    return by_segment[test_segment[:, None], np.maximum(test.endpoints, 0)]


def _shrunk(group: Ints, reward: Floats, prior: Floats) -> Floats:
    count = np.bincount(group, minlength=len(prior))
    total = np.bincount(group, weights=reward, minlength=len(prior))
    shrunk: Floats = (total + SHRINKAGE * prior) / (count + SHRINKAGE)
    return shrunk
