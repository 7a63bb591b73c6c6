"""A candidate against what serves, from the log: utility, success, cost and waits, and where the log is too thin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.dataset.replay_set import ReplaySet
from models.selection.decision.arrays import Floats
from models.selection.evaluation.estimators import importance_weights
from models.selection.evaluation.intervals import Interval, flatten_intervals
from models.selection.evaluation.off_policy import EvaluationRefusal, OffPolicyEvaluation, SupportThresholds, evaluate
from models.selection.evaluation.ttft import TtftRatios, effective_samples, ttft_ratios

TOP_MODELS = 20


class ModelSupport(NamedTuple):
    """Of one of the most used models: decisions, and how many they are worth for judging the candidate."""

    model: str
    decisions: int
    effective_samples: float


class Comparison(NamedTuple):
    """Lifts over what serves, in USD a request by two estimators, success share, USD; or a refusal.

    ``waits`` are ratios; ``models`` the ``TOP_MODELS`` most used, the first the most.
    """

    decisions: int
    utility: OffPolicyEvaluation | EvaluationRefusal
    success: Interval | None = None
    cost: Interval | None = None
    cost_now: float = 0.0
    waits: TtftRatios | None = None
    models: tuple[ModelSupport, ...] = ()

    def thin(self, least: float) -> list[ModelSupport]:
        """The models with fewer effective samples than ``least``."""
        return [model for model in self.models if model.effective_samples < least]

    def figures(self) -> dict[str, float]:
        """Flat, for the report and the audit log."""
        support = self.utility.support
        found = {"decisions": float(self.decisions), "effective_samples": support.effective_samples}
        found |= {f"effective_samples.{one.model}": one.effective_samples for one in self.models}
        if isinstance(self.utility, EvaluationRefusal):
            return found
        named = {
            "lift_snips_usd": self.utility.snips_lift,
            "lift_dr_usd": self.utility.dr_lift,
            "lift_success": self.success,
            "lift_cost_usd": self.cost,
            "ttft_mean_ratio": self.waits.mean if self.waits else None,
            "ttft_p99_ratio": self.waits.p99 if self.waits else None,
        }
        return found | {"blocks": float(support.blocks)} | flatten_intervals(named)


def compare(found: ReplaySet, target: Floats, now: Floats, thresholds: SupportThresholds) -> Comparison:
    """``target`` against what serves ``now``, (n, k) each."""
    count, models = len(found.contexts), _models(found, target)
    utility = evaluate(found.decisions, target, now, thresholds=thresholds)
    if isinstance(utility, EvaluationRefusal):
        return Comparison(count, utility, models=models)
    lifts = []
    for reward in (found.success, found.cost_usd):
        judged = evaluate(found.decisions._replace(reward=reward), target, now, thresholds=thresholds)
        lifts.append(None if isinstance(judged, EvaluationRefusal) else judged.snips_lift)
    ours, theirs = (importance_weights(found.decisions, policy) for policy in (target, now))
    waited = ttft_ratios(found.ttft_s, ours, theirs, found.decisions.block)
    return Comparison(count, utility, lifts[0], lifts[1], float(np.mean(found.cost_usd)), waited, models)


def _models(found: ReplaySet, target: Floats) -> tuple[ModelSupport, ...]:
    weight, names = importance_weights(found.decisions, target), found.decisions.model
    supports = [
        ModelSupport(str(name), int((names == name).sum()), effective_samples(weight[names == name]))
        for name in np.unique(names)
    ]
    return tuple(sorted(supports, key=lambda one: -one.decisions)[:TOP_MODELS])
