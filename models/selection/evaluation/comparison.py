"""A candidate against what serves, from the log: utility, success, cost and waits, and where the log is too thin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.dataset.replay_set import Choices
from models.selection.decision.arrays import Floats
from models.selection.evaluation.estimators import weights
from models.selection.evaluation.intervals import Interval, flattened
from models.selection.evaluation.off_policy import Evaluation, Refused, Thresholds, evaluate
from models.selection.evaluation.ttft import Waits, effective_samples, waits

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
    utility: Evaluation | Refused
    success: Interval | None = None
    cost: Interval | None = None
    cost_now: float = 0.0
    waits: Waits | None = None
    models: tuple[ModelSupport, ...] = ()

    def thin(self, least: float) -> list[ModelSupport]:
        """The models with fewer effective samples than ``least``."""
        return [model for model in self.models if model.effective_samples < least]

    def figures(self) -> dict[str, float]:
        """Flat, for the report and the audit log."""
        support = self.utility.support
        found = {"decisions": float(self.decisions), "effective_samples": support.effective_samples}
        found |= {f"effective_samples.{one.model}": one.effective_samples for one in self.models}
        if isinstance(self.utility, Refused):
            return found
        named = {
            "lift_snips_usd": self.utility.snips_lift,
            "lift_dr_usd": self.utility.dr_lift,
            "lift_success": self.success,
            "lift_cost_usd": self.cost,
            "ttft_mean_ratio": self.waits.mean if self.waits else None,
            "ttft_p99_ratio": self.waits.p99 if self.waits else None,
        }
        return found | {"blocks": float(support.blocks)} | flattened(named)


def compare(found: Choices, target: Floats, now: Floats, thresholds: Thresholds) -> Comparison:
    """``target`` against what serves ``now``, (n, k) each."""
    count, models = len(found.contexts), _models(found, target)
    utility = evaluate(found.decisions, target, now, thresholds=thresholds)
    if isinstance(utility, Refused):
        return Comparison(count, utility, models=models)
    lifts = []
    for reward in (found.success, found.cost_usd):
        judged = evaluate(found.decisions._replace(reward=reward), target, now, thresholds=thresholds)
        lifts.append(None if isinstance(judged, Refused) else judged.snips_lift)
    ours, theirs = (weights(found.decisions, policy) for policy in (target, now))
    waited = waits(found.ttft_s, ours, theirs, found.decisions.block)
    return Comparison(count, utility, lifts[0], lifts[1], float(np.mean(found.cost_usd)), waited, models)


def _models(found: Choices, target: Floats) -> tuple[ModelSupport, ...]:
    weight, names = weights(found.decisions, target), found.decisions.model
    supports = [
        ModelSupport(str(name), int((names == name).sum()), effective_samples(weight[names == name]))
        for name in np.unique(names)
    ]
    return tuple(sorted(supports, key=lambda one: -one.decisions)[:TOP_MODELS])
