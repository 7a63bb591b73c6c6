"""What a request's client minds, for the learned policy to weigh: in USD, or by ``sort``."""

from __future__ import annotations

from models.selection.decision.utility import SORT_FACTORS, UtilityWeights, weights_for_sort
from router_service.core.preferences import Preferences


def sort_is_weighed(strategy: str | None, sort: str) -> bool:
    """Whether ``sort`` is weighed, and fixes no order, where request or key name ``strategy``."""
    return strategy == "learned" and sort in SORT_FACTORS


def weights_of(preferences: Preferences, usual: UtilityWeights) -> UtilityWeights:
    """``usual`` is what a request minds that does not say."""
    second, failure = preferences.usd_per_second, preferences.usd_per_failure
    if second is not None:
        usual = usual._replace(ttft_second=second, generation_second=second)
    if failure is not None:
        usual = usual._replace(failure=failure)
    return weights_for_sort(preferences.sort_by, usual)
