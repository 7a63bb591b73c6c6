"""Compare a candidate with the serving policy from the log: utility, success, cost, TTFT, and where support is thin."""

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
    """Hold the decisions of one of the most used models, and the effective samples that they give for the candidate."""

    model: str
    decisions: int
    effective_samples: float


class Comparison(NamedTuple):
    """Hold lifts over the serving policy: utility in USD a request by two estimators, success share and cost in USD.

    ``utility`` may be a refusal. ``ttft`` holds ratios. ``models`` are the ``TOP_MODELS`` most used, the most used
    first.
    """

    decisions: int
    utility: OffPolicyEvaluation | EvaluationRefusal
    success: Interval | None = None
    cost: Interval | None = None
    baseline_cost: float = 0.0
    ttft: TtftRatios | None = None
    models: tuple[ModelSupport, ...] = ()

    def under_supported(self, min_effective_samples: float) -> list[ModelSupport]:
        """Return the models with fewer effective samples than ``min_effective_samples``."""
        return [model for model in self.models if model.effective_samples < min_effective_samples]

    def figures(self) -> dict[str, float]:
        """Return flat figures for the report and the audit log."""
        support = self.utility.support
        figures = {"decisions": float(self.decisions), "effective_samples": support.effective_samples}
        figures |= {f"effective_samples.{one.model}": one.effective_samples for one in self.models}
        if isinstance(self.utility, EvaluationRefusal):
            return figures
        intervals = {
            "lift_snips_usd": self.utility.snips_lift,
            "lift_dr_usd": self.utility.dr_lift,
            "lift_success": self.success,
            "lift_cost_usd": self.cost,
            "ttft_mean_ratio": self.ttft.mean if self.ttft else None,
            "ttft_p99_ratio": self.ttft.p99 if self.ttft else None,
        }
        return figures | {"blocks": float(support.blocks)} | flatten_intervals(intervals)


def compare(replay_set: ReplaySet, target: Floats, baseline: Floats, thresholds: SupportThresholds) -> Comparison:
    """Compare ``target`` with the serving ``baseline``, both (n, k) probabilities."""
    count, models = len(replay_set.contexts), _models(replay_set, target)
    utility = evaluate(replay_set.decisions, target, baseline, thresholds=thresholds)
    if isinstance(utility, EvaluationRefusal):
        return Comparison(count, utility, models=models)
    lifts = []
    for reward in (replay_set.success, replay_set.cost_usd):
        judged = evaluate(replay_set.decisions._replace(reward=reward), target, baseline, thresholds=thresholds)
        lifts.append(None if isinstance(judged, EvaluationRefusal) else judged.snips_lift)
    target_weight, baseline_weight = (importance_weights(replay_set.decisions, policy) for policy in (target, baseline))
    ttft = ttft_ratios(replay_set.ttft_s, target_weight, baseline_weight, replay_set.decisions.block)
    return Comparison(count, utility, lifts[0], lifts[1], float(np.mean(replay_set.cost_usd)), ttft, models)


def _models(replay_set: ReplaySet, target: Floats) -> tuple[ModelSupport, ...]:
    weight, names = importance_weights(replay_set.decisions, target), replay_set.decisions.model
    supports = [
        ModelSupport(str(name), int((names == name).sum()), effective_samples(weight[names == name]))
        for name in np.unique(names)
    ]
    return tuple(sorted(supports, key=lambda one: -one.decisions)[:TOP_MODELS])
