"""Combine a request's preferences with the constraints of the installation, the key and the regional host.

Rules on data, location and price are combined with the request's, and the stricter one applies: a request may tighten
them and never loosen them. A key's strategy, sort, deadlines and utility weights are defaults, which a request may
replace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from data.catalogue.geography import intersection
from data.catalogue.types import Endpoint
from router_service.core.preferences import NO_PREFERENCES, WEIGHT_FIELDS, MaxPrice, Preferences, Sort
from router_service.planning.eligibility import parts_over_limit, privacy_rules
from router_service.planning.utility_preferences import sort_is_weighed

BOOLEAN_RULES = ("zdr", "enforce_distillable_text")
DEFAULTS = ("ttft_timeout", "stall_timeout", *WEIGHT_FIELDS)


class Constraint(NamedTuple):
    """Hold one set of rules and defaults; ``source`` is the subject of a sentence, for example "This key"."""

    source: str
    preferences: Preferences

    def rules(self) -> list[str]:
        """Return the rules as ``name=value``, without the defaults."""
        wanted = self.preferences
        found = ["data_collection=deny"] if wanted.data_collection == "deny" else []
        found += [name for name in BOOLEAN_RULES if getattr(wanted, name)]
        found += [f"region={' or '.join(wanted.regions)}"] if wanted.regions else []
        if wanted.max_price is not None:
            limits = msgspec.structs.asdict(wanted.max_price).items()
            found += [f"max_price.{part}={amount}" for part, amount in limits if amount is not None]
        return found


class ConstraintSet:
    """Hold the constraints of one installation, host and key.

    Instances are compared by identity, which makes them a fast part of a cache key. ``baseline`` are the preferences of
    a request that has none of its own.
    """

    def __init__(self, *constraints: Constraint, strategy: str | None = None) -> None:
        self._constraints = constraints
        self.strategy = strategy
        self.baseline = self.apply(NO_PREFERENCES)

    def apply(self, preferences: Preferences) -> Preferences:
        """Return ``preferences`` with all constraints applied."""
        for constraint in self._constraints:
            preferences = constrain(preferences, constraint.preferences)
        return preferences

    def allows(self, endpoint: Endpoint) -> bool:
        """Return whether the rules on data, location and price allow any request to reach ``endpoint``."""
        limit = self.baseline.max_price
        private = all(passes(endpoint) for _, passes in privacy_rules(self.baseline))
        return private and not (limit is not None and parts_over_limit(endpoint, limit))

    def sentences(self) -> Iterator[str]:
        """Yield one sentence for each source that has rules."""
        for constraint in self._constraints:
            if rules := constraint.rules():
                yield f"{constraint.source} requires {' and '.join(rules)} for every request."


NO_CONSTRAINTS = ConstraintSet()


def constrain(preferences: Preferences, constraint: Preferences) -> Preferences:
    """Return ``preferences`` with the rules of ``constraint``, and with its defaults where they set nothing."""
    changes: dict[str, Any] = {name: True for name in BOOLEAN_RULES if getattr(constraint, name)}
    changes |= {name: getattr(constraint, name) for name in DEFAULTS if getattr(preferences, name) is None}
    if constraint.data_collection == "deny":
        changes["data_collection"] = "deny"
    if constraint.region is not None:
        changes["region"] = intersection(preferences.regions, constraint.regions)
    if constraint.max_price is not None:
        changes["max_price"] = _lower(preferences.max_price, constraint.max_price)
    strategy = preferences.strategy
    if (
        constraint.sort_by
        and not preferences.sort_by
        and (strategy is None or sort_is_weighed(strategy, constraint.sort_by))
    ):
        partition = preferences.sort.partition if isinstance(preferences.sort, Sort) else "model"
        changes["sort"] = Sort(constraint.sort_by, partition)
    changed = {name: value for name, value in changes.items() if value != getattr(preferences, name)}
    return msgspec.structs.replace(preferences, **changed) if changed else preferences


def _lower(some: MaxPrice | None, others: MaxPrice) -> MaxPrice:
    if some is None:
        return others
    pairs = {name: (getattr(some, name), getattr(others, name)) for name in MaxPrice.__struct_fields__}
    return MaxPrice(
        **{name: min((a for a in pair if a is not None), key=float, default=None) for name, pair in pairs.items()}
    )
