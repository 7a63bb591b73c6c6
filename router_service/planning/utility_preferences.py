"""Derive the learned policy's utility weights from a request's preferences: amounts in USD, or ``sort``."""

from __future__ import annotations

from models.selection.decision.utility import SORT_FACTORS, UtilityWeights, weights_for_sort
from router_service.core.preferences import Preferences


def sort_is_weighed(strategy: str | None, sort: str) -> bool:
    """Return whether ``sort`` is a weight and not a fixed order: request or key name the learned ``strategy``."""
    return strategy == "learned" and sort in SORT_FACTORS


def weights_of(preferences: Preferences, usual: UtilityWeights) -> UtilityWeights:
    """Return the utility weights of a request; ``usual`` are the defaults for what it does not set."""
    second, failure = preferences.usd_per_second, preferences.usd_per_failure
    if second is not None:
        usual = usual._replace(ttft_second=second, generation_second=second)
    if failure is not None:
        usual = usual._replace(failure=failure)
    return weights_for_sort(preferences.sort_by, usual)
