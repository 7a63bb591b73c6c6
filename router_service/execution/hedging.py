"""A second call beside one that is late: when, for which requests, and for how many tokens.

Dean and Barroso, The Tail at Scale (CACM 56:2, 2013): hedged requests. When a call is late is read off the quickest
of the others and never off the one at work: an endpoint that is always slow would call its slowness usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from data.attempt_outcome import AttemptOutcome
from data.catalogue.types import Endpoint
from models.selection.decision.priors import TYPICAL_OUTPUT_TOKENS
from router_service.affinity.sticky import POLICY as HELD
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision, Plan
from router_service.execution.deadlines import LEAST_MEASURED, PROMPT_TOKENS_PER_S
from router_service.execution.plan_statistics import PlanStatistics
from router_service.health import Health

LATE_PERCENT = 95


def expected_tokens(exchange: Exchange) -> float:
    """Of prompt and answer together, as the request was asked: a typical answer, or a shorter one if its limit is."""
    head = exchange.head
    if head is None:
        return TYPICAL_OUTPUT_TOKENS
    limit = head.completion_limit
    output = TYPICAL_OUTPUT_TOKENS if limit is None or limit > TYPICAL_OUTPUT_TOKENS else limit
    return output + head.prompt_tokens(len(exchange.body))


class EndpointLatency(NamedTuple):
    """What one endpoint's calls do not exceed in 95 of 100 cases, seconds."""

    seconds: float
    provider: str


class Hedging:
    """One worker's, and its budget: every request adds ``share`` of its expected tokens, at most ``burst`` are kept.

    ``sent``, ``won`` and ``refused`` (for want of budget) count second calls, ``tokens`` what those sent were expected
    to take. ``unstoppable`` are providers that go on working when their caller leaves.
    """

    def __init__(
        self, share: float, health: Health, unstoppable: frozenset[str] = frozenset(), burst: float = 10_000.0
    ) -> None:
        self._share = share
        self._burst = burst
        self._health = health
        self._streams = PlanStatistics(lambda plan: self._waits(plan, stream=True))
        self._wholes = PlanStatistics(lambda plan: self._waits(plan, stream=False))
        self._budget = burst
        self.unstoppable = unstoppable
        self.sent = self.won = self.refused = 0
        self.tokens = 0.0

    def earn(self, exchange: Exchange) -> None:
        """Count a request."""
        if self._budget < self._burst:
            budget = self._budget + self._share * expected_tokens(exchange)
            self._budget = budget if budget < self._burst else self._burst

    def affords(self, exchange: Exchange) -> bool:
        """Whether the budget has a second call for the request. One larger than ``burst`` takes a full budget, and
        leaves a debt."""
        if self._budget < min(expected_tokens(exchange), self._burst):
            self.refused += 1
            return False
        return True

    def spend(self, exchange: Exchange) -> None:
        """Take a second call out of the budget."""
        tokens = expected_tokens(exchange)
        self._budget -= tokens
        self.tokens += tokens
        self.sent += 1

    def begin(self, endpoint: str) -> None:
        """Ignore what was sent: a hedged request is counted when its budget is spent."""

    def report(self, outcome: AttemptOutcome, _exchange: Exchange) -> None:
        """Count a hedged request whose response was taken."""
        self.won += outcome.hedge and outcome.ended not in ("lost", "failed")

    def late_after(self, exchange: Exchange, decision: Decision, endpoint: Endpoint) -> float | None:
        """Seconds after which a call to ``endpoint`` is late; ``None`` where no second may be sent, or not measured.

        At least the time that a prompt so long takes everywhere. A conversation that waits for its provider's own
        tool results or reasoning has one provider alone.
        """
        plan, head, affinity = decision.plan, exchange.head, exchange.conversation
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

    def _waits(self, plan: Plan, *, stream: bool) -> list[EndpointLatency]:
        """Of the endpoints that have been measured, the quickest first."""

        def found() -> Iterator[EndpointLatency]:
            for endpoint in plan.endpoints:
                waits = self._health.waits(endpoint.id, (LATE_PERCENT,), LEAST_MEASURED, stream=stream)
                if waits is not None and self._health.sound(endpoint.id):
                    yield EndpointLatency(waits[0], endpoint.provider)

        return sorted(found())
