"""A second call beside one that is late: when, for which requests, and how many of them.

Dean and Barroso, The Tail at Scale (CACM 56:2, 2013): hedged requests. When a call is late is read off the quickest
of the others and never off the one at work: an endpoint that is always slow would call its slowness usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from data.catalogue.types import Endpoint
from router_service.exchange import Exchange
from router_service.routing.deadlines import LEAST_MEASURED, PROMPT_TOKENS_PER_S
from router_service.routing.health import Health
from router_service.routing.per_plan import PerPlan
from router_service.routing.plan import Decision, Plan
from router_service.routing.sticky import POLICY as HELD

LATE_PERCENT = 95
# Second calls that may go at once after a quiet time.
BURST = 5.0


class Wait(NamedTuple):
    """What one endpoint's calls do not exceed in 95 of 100 cases, seconds."""

    seconds: float
    provider: str


class Hedging:
    """One worker's, and its budget: every request adds ``share`` of a second call, at most ``BURST`` are kept.

    ``sent``, ``won`` and ``refused`` (for want of budget) count second calls. ``unstoppable`` are providers that go
    on working when their caller leaves.
    """

    def __init__(self, share: float, health: Health, unstoppable: frozenset[str] = frozenset()) -> None:
        self._share = share
        self._health = health
        self._streams = PerPlan(lambda plan: self._waits(plan, stream=True))
        self._wholes = PerPlan(lambda plan: self._waits(plan, stream=False))
        self._budget = BURST
        self.unstoppable = unstoppable
        self.sent = self.won = self.refused = 0

    def earn(self) -> None:
        """Count a request."""
        self._budget = min(self._budget + self._share, BURST)

    def affords(self) -> bool:
        """Whether the budget has a second call left."""
        if self._budget < 1:
            self.refused += 1
            return False
        return True

    def spend(self) -> None:
        """Take a second call out of the budget."""
        self._budget -= 1
        self.sent += 1

    def late_after(self, exchange: Exchange, decision: Decision, endpoint: Endpoint) -> float | None:
        """Seconds after which a call to ``endpoint`` is late; ``None`` where no second may be sent, or not measured.

        At least the time that a prompt so long takes everywhere. A conversation that waits for its provider's own
        tool results or reasoning has one provider alone.
        """
        plan, head, affinity = decision.plan, exchange.head, exchange.affinity
        if head is None or not plan.fallbacks or len(plan.endpoints) < 2 or plan.preferences.hedge is False:
            return None
        if affinity is not None and affinity.pinned and decision.arm.policy == HELD:
            return None
        waits = (self._streams if head.stream else self._wholes).of(plan)
        best = next((wait.seconds for wait in waits if wait.provider != endpoint.provider), None)
        return None if best is None else max(best, len(exchange.body) / 4 / PROMPT_TOKENS_PER_S)

    def fits(self, first: Endpoint, second: Endpoint) -> bool:
        """Whether ``second`` may be asked beside ``first``: another provider, and nothing is held against it."""
        return second.provider != first.provider and self._health.sound(second.id)

    def _waits(self, plan: Plan, *, stream: bool) -> list[Wait]:
        """Of the endpoints that have been measured, the quickest first."""

        def found() -> Iterator[Wait]:
            for endpoint in plan.endpoints:
                seconds = self._health.wait(endpoint.id, LATE_PERCENT, LEAST_MEASURED, stream=stream)
                if seconds is not None and self._health.sound(endpoint.id):
                    yield Wait(seconds, endpoint.provider)

        return sorted(found())
