"""What a request's client minds, for the learned policy to weigh: in USD, or by ``sort``."""

from __future__ import annotations

from models.selection.decision.utility import PRESETS, Wish, preset
from router_service.routing.preferences import Preferences


def weighs(strategy: str | None, sort: str) -> bool:
    """Whether ``sort`` is weighed, and fixes no order, where request or key name ``strategy``."""
    return strategy == "learned" and sort in PRESETS


def wish_of(preferences: Preferences, usual: Wish) -> Wish:
    """``usual`` is what a request minds that does not say."""
    second, failure = preferences.usd_per_second, preferences.usd_per_failure
    if second is not None:
        usual = usual._replace(second_of_wait=second, second_of_answer=second)
    if failure is not None:
        usual = usual._replace(failure=failure)
    return preset(preferences.sort_by, usual)
