"""What stands above a request's own preferences: the installation's rules, the key's, the regional host's.

Rules on data, place and price are joined to the request's, the stricter of each: a request may tighten them and never
loosen them. A key's strategy, sort, deadlines and worths are defaults, and give way to the request's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from data.catalogue.geography import intersection
from data.catalogue.types import Endpoint
from router_service.core.preferences import NO_PREFERENCES, WORTHS, MaxPrice, Preferences, Sort
from router_service.planning.eligibility import parts_over_limit, privacy_rules
from router_service.planning.utility_preferences import sort_is_weighed

SWITCHES = ("zdr", "enforce_distillable_text")
DEFAULTS = ("ttft_timeout", "stall_timeout", *WORTHS)


class Constraint(NamedTuple):
    """``whose`` begins a sentence: "This installation", "This key", "The host eu.example.com"."""

    whose: str
    preferences: Preferences

    def words(self) -> list[str]:
        """The rules among it; defaults are none."""
        wanted = self.preferences
        found = ["data_collection=deny"] if wanted.data_collection == "deny" else []
        found += [name for name in SWITCHES if getattr(wanted, name)]
        found += [f"region={' or '.join(wanted.regions)}"] if wanted.regions else []
        if wanted.max_price is not None:
            limits = msgspec.structs.asdict(wanted.max_price).items()
            found += [f"max_price.{part}={amount}" for part, amount in limits if amount is not None]
        return found


class ConstraintSet:
    """Of one installation, host and key. Compared by identity, so that it is a quick part of a cache's key."""

    def __init__(self, *constraints: Constraint, strategy: str | None = None) -> None:
        self._demands = constraints
        self.strategy = strategy
        self.least = self.apply(NO_PREFERENCES)

    def apply(self, preferences: Preferences) -> Preferences:
        """``preferences`` as they hold constrained_by all of these."""
        for demand in self._demands:
            preferences = constrained_by(preferences, demand.preferences)
        return preferences

    def allow(self, endpoint: Endpoint) -> bool:
        """Whether any request could reach ``endpoint`` constrained_by the rules on data, place and price."""
        limit = self.least.max_price
        private = all(passes(endpoint) for _, passes in privacy_rules(self.least))
        return private and not (limit is not None and parts_over_limit(endpoint, limit))

    def sentences(self) -> Iterator[str]:
        """Who constraints what of every request."""
        for demand in self._demands:
            if words := demand.words():
                yield f"{demand.whose} demands {' and '.join(words)} of every request."


NO_CONSTRAINTS = ConstraintSet()


def constrained_by(preferences: Preferences, above: Preferences) -> Preferences:
    """``preferences`` with the rules of ``above`` joined to them, and its defaults where they say nothing."""
    changes: dict[str, Any] = {name: True for name in SWITCHES if getattr(above, name)}
    changes |= {name: getattr(above, name) for name in DEFAULTS if getattr(preferences, name) is None}
    if above.data_collection == "deny":
        changes["data_collection"] = "deny"
    if above.region is not None:
        changes["region"] = intersection(preferences.regions, above.regions)
    if above.max_price is not None:
        changes["max_price"] = _lower(preferences.max_price, above.max_price)
    strategy = preferences.strategy
    if above.sort_by and not preferences.sort_by and (strategy is None or sort_is_weighed(strategy, above.sort_by)):
        partition = preferences.sort.partition if isinstance(preferences.sort, Sort) else "model"
        changes["sort"] = Sort(above.sort_by, partition)
    changed = {name: value for name, value in changes.items() if value != getattr(preferences, name)}
    return msgspec.structs.replace(preferences, **changed) if changed else preferences


def _lower(some: MaxPrice | None, others: MaxPrice) -> MaxPrice:
    if some is None:
        return others
    pairs = {name: (getattr(some, name), getattr(others, name)) for name in MaxPrice.__struct_fields__}
    return MaxPrice(
        **{name: min((a for a in pair if a is not None), key=float, default=None) for name, pair in pairs.items()}
    )
