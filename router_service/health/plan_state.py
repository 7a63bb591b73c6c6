"""The part of health that plans depend on, and its version."""

from __future__ import annotations

from collections.abc import Iterable

from router_service.health import tiers
from router_service.health.breaker import Phase
from router_service.health.endpoint_health import EndpointHealth
from router_service.health.tiers import Tier
from router_service.health.windows import Counts


class PlanState:
    """Sets of endpoint ids; ``epoch`` moves whenever one of them changes. ``ejecting`` maps those that the breaker
    wants ejected to (ejections in a row, share of failures).
    """

    def __init__(self) -> None:
        self.outages: frozenset[str] = frozenset()
        self.ejecting: dict[str, tuple[int, float]] = {}
        self.limited: frozenset[str] = frozenset()
        self.tiers: dict[str, Tier] = {}
        self.epoch = 0
        # Those that time alone can change.
        self.watched: dict[str, EndpointHealth] = {}

    def review(self, state: EndpointHealth, now: float, counts: Counts) -> None:
        """Set outage, ejection and limit anew; ``counts`` are those of the last 30 s."""
        name, breaker, capacity = state.name, state.breaker, state.capacity
        # The one probe of an ejection that is over is not to wait until what led to it has left the window.
        probing = breaker.tripped and breaker.phase(now) is Phase.HALF_OPEN
        out = not probing and tiers.outage(*breaker.since_closing(now, counts.success, counts.failure))
        held = now < capacity.retry_until
        limited = held or (capacity.learned and capacity.limited(now, per_minute(sum(counts))))
        if out != (name in self.outages):
            self.outages = self.outages ^ {name}
            self.epoch += 1
        if limited != (name in self.limited):
            self.limited = self.limited ^ {name}
            self.epoch += 1
        if breaker.tripped or name in self.ejecting:
            self._set_ejecting(name, (breaker.ejections, breaker.severity) if breaker.ejected(now) else None)
        if out or limited or breaker.tripped or capacity.learned:
            self.watched[name] = state
        elif name in self.watched:
            del self.watched[name]

    def _set_ejecting(self, name: str, severity: tuple[int, float] | None) -> None:
        if severity == self.ejecting.get(name):
            return
        if severity is None:
            del self.ejecting[name]
        else:
            self.ejecting[name] = severity
        self.epoch += 1

    def review_watched(self, now: float) -> None:
        second = int(now)
        for state in list(self.watched.values()):
            self.review(state, now, state.windows.totals("30s", second))

    def grade(self, states: Iterable[EndpointHealth], now: float) -> None:
        """Set the tiers of ``states`` anew."""
        second = int(now)
        changed = False
        for state in states:
            grade = tiers.tier(state.windows, second)
            if grade != self.tiers.get(state.name, "insufficient"):
                self.tiers[state.name] = grade
                changed = True
        self.epoch += changed


def per_minute(in_30_seconds: int) -> float:
    """A rate of requests a minute from a count of the 30 s window."""
    return 2.0 * in_30_seconds
