"""Estimate from the log what another policy would have earned, and refuse where the log cannot tell.

A log cannot answer two questions. A policy that learns online is evaluated with what it learned from this log, not with
what it would have learned from its own choices. And the log does not show how endpoints would respond to the load that
the policy would send them. The simulator covers both.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from models.selection.dataset.logged_decisions import LoggedDecisions
from models.selection.decision.arrays import Floats
from models.selection.evaluation.estimators import (
    OutcomeModel,
    RatioTerms,
    cross_fit,
    doubly_robust,
    endpoint_means,
    importance_weights,
    ips,
    snips,
)
from models.selection.evaluation.intervals import Interval, block_sums, interval, resample_blocks


class SupportThresholds(NamedTuple):
    """Hold the limits beyond which the support is too thin.

    ``effective_samples`` of 200: at about 90 the estimators were off by a third of the true value on replayed provider
    measurements, at 270 by a tenth. The others are our own choice.
    """

    effective_samples: float = 200.0
    uncovered: float = 0.01  # share of the target's probability where the log had none
    weight_share: float = 0.05  # of one decision in the sum of the weights
    blocks: int = 20
    mean_weight: float = 0.05  # distance from 1 ...
    mean_weight_errors: float = 4.0  # ... that is also this many standard errors
    propensity_errors: float = 5.0  # of how often an endpoint was chosen, from what its probabilities promise


class Support(NamedTuple):
    """Hold diagnostics of the weights; ``effective_samples`` is Kish's (Σ w)² / Σ w².

    ``propensity_errors`` is the worst endpoint's |times chosen - Σ p| / sqrt(Σ p (1 - p)).
    """

    decisions: int
    blocks: int
    effective_samples: float
    uncovered: float
    weight_share: float
    mean_weight: float
    mean_weight_error: float
    propensity_errors: float


class EvaluationRefusal(NamedTuple):
    """Say in a sentence why there is no estimate."""

    reason: str
    support: Support


class OffPolicyEvaluation(NamedTuple):
    """Hold the target's mean reward by three estimators, and its lift over the baseline, in the reward's unit."""

    support: Support
    baseline: Interval
    ips: Interval
    snips: Interval
    dr: Interval
    snips_lift: Interval
    dr_lift: Interval

    @property
    def better(self) -> bool:
        """Tell whether SNIPS and DR agree that the target earns more: both lower bounds are above 0."""
        return self.snips_lift.low > 0 and self.dr_lift.low > 0


def evaluate(
    decisions: LoggedDecisions,
    target: Floats,
    baseline: Floats | None = None,
    *,
    model: OutcomeModel = endpoint_means,
    thresholds: SupportThresholds = SupportThresholds(),
    seed: int = 0,
) -> OffPolicyEvaluation | EvaluationRefusal:
    """Judge ``target`` (n, k), a probability for each logged candidate, against ``baseline`` or the log's own policy.

    Raises ``ValueError`` on a log or a target that is not valid.
    """
    decisions.check()
    policies = [target, decisions.logged if baseline is None else baseline]
    for policy in policies:
        _check_policy(decisions, policy)
        support = support_of(decisions, policy)
        reason = _refusal_reason(support, thresholds)
        if reason:
            return EvaluationRefusal(reason if policy is target else f"of the baseline: {reason}", support)
    predicted = cross_fit(decisions, model)
    ours, theirs = (_scores(decisions, policy, predicted) for policy in policies)
    return _intervals(decisions, ours, theirs, support_of(decisions, target), seed)


def evaluate_by(
    decisions: LoggedDecisions,
    target: Floats,
    by: Literal["model", "segment"],
    *,
    model: OutcomeModel = endpoint_means,
    thresholds: SupportThresholds = SupportThresholds(),
    seed: int = 0,
) -> dict[str, OffPolicyEvaluation | EvaluationRefusal]:
    """Judge each model or segment by itself, against the log's own policy."""
    decisions.check()
    keys = getattr(decisions, by)
    return {
        str(key): evaluate(
            decisions.where(keys == key), target[keys == key], model=model, thresholds=thresholds, seed=seed
        )
        for key in np.unique(keys)
    }


def support_of(decisions: LoggedDecisions, target: Floats) -> Support:
    """Return the support that the log gives for ``target`` (n, k)."""
    weight = importance_weights(decisions, target)
    total = float(weight.sum())
    sums = block_sums(np.stack([weight, np.ones_like(weight)], axis=1), decisions.block)
    residual = sums[:, 0] - sums[:, 1] * weight.mean()
    return Support(
        decisions=len(weight),
        blocks=len(sums),
        effective_samples=total**2 / float((weight**2).sum()) if total > 0 else 0.0,
        uncovered=float(np.where(decisions.logged > 0, 0.0, target).sum(axis=1).mean()),
        weight_share=float(weight.max()) / total if total > 0 else 1.0,
        mean_weight=total / len(weight),
        mean_weight_error=float(np.sqrt((residual**2).sum())) / len(weight),
        propensity_errors=_propensity_errors(decisions),
    )


def _propensity_errors(decisions: LoggedDecisions) -> float:
    """Return the worst endpoint's score, about standard normal, since choices are drawn independently."""
    real = decisions.endpoints >= 0
    endpoint, chance = decisions.endpoints[real], decisions.logged[real]
    chosen_endpoint = decisions.endpoints[np.arange(len(decisions.chosen)), decisions.chosen]
    expected = np.bincount(endpoint, weights=chance)
    variance = np.bincount(endpoint, weights=chance * (1 - chance))
    excess = np.abs(np.bincount(chosen_endpoint, minlength=len(expected)) - expected)
    return float((excess / np.sqrt(np.maximum(variance, 1.0))).max())


def _check_policy(decisions: LoggedDecisions, policy: Floats) -> None:
    if policy.shape != decisions.logged.shape:
        raise ValueError(f"the policy's shape {policy.shape} is not the log's {decisions.logged.shape}")
    if not np.isfinite(policy).all() or (policy < 0).any() or np.abs(policy.sum(axis=1) - 1).max(initial=0) > 1e-6:
        raise ValueError("the policy's probabilities of a decision are not probabilities that sum to 1")
    if (policy[decisions.endpoints < 0] > 0).any():
        raise ValueError("the policy gives probability to padding")


def _refusal_reason(support: Support, thresholds: SupportThresholds) -> str | None:
    """Return a sentence, or ``None`` where the support suffices."""
    if support.uncovered > thresholds.uncovered:
        return f"{support.uncovered:.1%} of its probability lies where the log had none, {thresholds.uncovered:.1%} may"
    if support.effective_samples < thresholds.effective_samples:
        return f"{support.effective_samples:.0f} effective samples, {thresholds.effective_samples:.0f} are needed"
    if support.weight_share > thresholds.weight_share:
        return f"one decision has {support.weight_share:.1%} of the weight, {thresholds.weight_share:.1%} is allowed"
    if support.blocks < thresholds.blocks:
        return f"{support.blocks} blocks of time, {thresholds.blocks} are needed"
    if support.propensity_errors > thresholds.propensity_errors:
        return f"an endpoint was chosen {support.propensity_errors:.0f} standard errors off its logged probabilities"
    distance = abs(support.mean_weight - 1)
    if distance > max(thresholds.mean_weight, thresholds.mean_weight_errors * support.mean_weight_error):
        return f"the mean weight is {support.mean_weight:.2f}, not 1: the log's probabilities are not those it chose by"
    return None


def _scores(decisions: LoggedDecisions, policy: Floats, predicted: Floats) -> list[RatioTerms]:
    weight = importance_weights(decisions, policy)
    return [
        ips(weight, decisions.reward),
        snips(weight, decisions.reward),
        doubly_robust(decisions, policy, weight, predicted),
    ]


def _intervals(
    decisions: LoggedDecisions, ours: list[RatioTerms], theirs: list[RatioTerms], support: Support, seed: int
) -> OffPolicyEvaluation:
    """Compute all figures from the same resampled blocks, so that a lift is a paired difference."""
    columns = [column for scores in (*ours, *theirs) for column in scores]
    totals = resample_blocks(block_sums(np.stack(columns, axis=1), decisions.block), seed)
    replicas = totals[:, 0::2] / totals[:, 1::2]
    values = np.array([scores.value() for scores in (*ours, *theirs)])

    def of(column: int) -> Interval:
        return interval(float(values[column]), replicas[:, column], support.blocks)

    def lift(column: int) -> Interval:
        other = column + len(ours)
        value = float(values[column] - values[other])
        return interval(value, replicas[:, column] - replicas[:, other], support.blocks)

    return OffPolicyEvaluation(support, of(4), of(0), of(1), of(2), lift(1), lift(2))
