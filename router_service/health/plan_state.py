"""Hold the part of health that plans depend on, and its version."""

from __future__ import annotations

from collections.abc import Iterable

from router_service.health.breaker import BreakerState
from router_service.health.endpoint_health import EndpointHealth
from router_service.health.uptime_tiers import UptimeTier, is_outage, uptime_tier
from router_service.health.windows import OutcomeCounts


class PlanState:
    """Hold sets of endpoint ids. ``epoch`` increases whenever one of them changes.

    ``ejecting`` maps the endpoints that the breaker wants ejected to (ejections in a row, share of failures).
    ``watched`` are those whose state can change by the passing of time alone.
    """

    def __init__(self) -> None:
        self.outages: frozenset[str] = frozenset()
        self.ejecting: dict[str, tuple[int, float]] = {}
        self.limited: frozenset[str] = frozenset()
        self.tiers: dict[str, UptimeTier] = {}
        self.epoch = 0
        self.watched: dict[str, EndpointHealth] = {}

    def review(self, state: EndpointHealth, now: float, counts: OutcomeCounts) -> None:
        """Update outage, ejection and rate limit of one endpoint; ``counts`` are those of the last 30 s."""
        name, breaker, capacity = state.name, state.breaker, state.capacity
        # The one probe after an ejection must not be delayed until the failures that led to it have left the window.
        probing = breaker.tripped and breaker.state(now) is BreakerState.HALF_OPEN
        out = not probing and is_outage(*breaker.counts_since_closing(now, counts.success, counts.failure))
        paused = now < capacity.retry_until
        limited = paused or (capacity.has_cap and capacity.limited(now, per_minute(sum(counts))))
        if out != (name in self.outages):
            self.outages = self.outages ^ {name}
            self.epoch += 1
        if limited != (name in self.limited):
            self.limited = self.limited ^ {name}
            self.epoch += 1
        if breaker.tripped or name in self.ejecting:
            self._set_ejecting(name, (breaker.ejections, breaker.severity) if breaker.ejected(now) else None)
        if out or limited or breaker.tripped or capacity.has_cap:
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
        """Update the endpoints whose state can change by the passing of time alone."""
        second = int(now)
        for state in list(self.watched.values()):
            self.review(state, now, state.windows.totals("30s", second))

    def grade(self, states: Iterable[EndpointHealth], now: float) -> None:
        """Update the uptime tiers of ``states``."""
        second = int(now)
        changed = False
        for state in states:
            grade = uptime_tier(state.windows, second)
            if grade != self.tiers.get(state.name, "insufficient"):
                self.tiers[state.name] = grade
                changed = True
        self.epoch += changed


def per_minute(in_30_seconds: int) -> float:
    """Return the requests a minute that a count of the 30 s window amounts to."""
    return 2.0 * in_30_seconds
