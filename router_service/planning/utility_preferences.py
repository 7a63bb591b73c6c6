"""What a request's client minds, for the learned policy to weigh: in USD, or by ``sort``."""

from __future__ import annotations

from models.selection.choosing import PRESETS, preset
from models.selection.policy import Wish
from router_service.core.preferences import Preferences


def sort_is_weighed(strategy: str | None, sort: str) -> bool:
    """Whether ``sort`` is weighed, and fixes no order, where request or key name ``strategy``."""
    return strategy == "learned" and sort in PRESETS


def weights_of(preferences: Preferences, usual: Wish) -> Wish:
    """``usual`` is what a request minds that does not say."""
    second, failure = preferences.usd_per_second, preferences.usd_per_failure
    if second is not None:
        usual = usual._replace(second_of_wait=second, second_of_answer=second)
    if failure is not None:
        usual = usual._replace(failure=failure)
    return preset(preferences.sort_by, usual)
