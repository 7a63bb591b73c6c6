"""Hold the health of all endpoints, and track which of them changed."""

from __future__ import annotations

from router_service.health.endpoint_health import EndpointHealth
from router_service.health.messages import HealthReport
from router_service.health.plan_state import PlanState

# The tier of an endpoint without traffic changes as windows pass: all are graded again in this many seconds, a part of
# them each second.
GRADING_S = 60


class EndpointTable:
    """Hold an ``EndpointHealth`` for each endpoint that was called, and the part of it that plans depend on.

    Changed endpoints are graded at the next occasion and reported to the other workers.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, EndpointHealth] = {}
        self.plan_state = PlanState()
        self._in_order: list[EndpointHealth] = []
        self._next_graded = 0
        self._changed: list[EndpointHealth] = []
        self._ungraded: set[EndpointHealth] = set()
        self._unsent: set[EndpointHealth] = set()

    def create(self, endpoint: str, now: float) -> EndpointHealth:
        """Add ``endpoint``, which is not in the table yet."""
        state = self.by_id[endpoint] = EndpointHealth(endpoint, int(now))
        self._in_order.append(state)
        return state

    def count(self, endpoint: str, kind: int, now: float, count: int = 1) -> EndpointHealth:
        """Count ``count`` calls that ended with outcome ``kind``, and return the endpoint's health."""
        state = self.by_id.get(endpoint) or self.create(endpoint, now)
        state.windows.add(kind, int(now), count)
        state.capacity.count_sent(count)
        self.mark_changed(state)
        return state

    def mark_changed(self, state: EndpointHealth) -> None:
        """Note that ``state`` is to be graded and reported."""
        if not state.changed:
            state.changed = True
            self._changed.append(state)

    def mark_ungraded(self, state: EndpointHealth) -> None:
        """Note that ``state`` is to be graded but not reported: the change came from another worker."""
        self._ungraded.add(state)

    def review(self, state: EndpointHealth, now: float) -> None:
        """Update outage, ejection and rate limit of ``state``."""
        self.plan_state.review(state, now, state.windows.totals("30s", int(now)))

    def grade(self, now: float) -> None:
        """Update the tiers of the endpoints that changed and of a part of the others; call it once a second."""
        self._sort_changed()
        states, self._ungraded = self._ungraded, set()
        share = -(-len(self._in_order) // GRADING_S)
        states.update(self._in_order[self._next_graded : self._next_graded + share])
        self._next_graded = self._next_graded + share if self._next_graded + share < len(self._in_order) else 0
        self.plan_state.grade(states, now)

    def drain_reports(self, now: float) -> list[HealthReport]:
        """Return a report of each endpoint that changed since the last call, or that this worker probes."""
        self._sort_changed()
        self._unsent.update(s for s in self.plan_state.watched.values() if s.breaker.probe_until(now))
        reports = [state.drain_report(now) for state in self._unsent]
        self._unsent.clear()
        return reports

    def _sort_changed(self) -> None:
        for state in self._changed:
            state.changed = False
        self._ungraded.update(self._changed)
        self._unsent.update(self._changed)
        self._changed.clear()
