"""Decide when a hedged request may be sent, for which requests, and within which budget of tokens.

Source: Dean and Barroso, The Tail at Scale (CACM 56:2, 2013). The delay is derived from the fastest of the other
endpoints and never from the one being called, because an endpoint that is always slow would set a long delay for
itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from data.catalogue.types import Endpoint
from data.record.attempt import AttemptOutcome
from models.selection.decision.priors import TYPICAL_OUTPUT_TOKENS
from router_service.affinity.sticky import POLICY as STICKY
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision, Plan
from router_service.execution.deadlines import MIN_MEASURED, PROMPT_TOKENS_PER_S
from router_service.execution.plan_statistics import PlanStatistics
from router_service.health import Health

LATE_PERCENTILE = 95


def expected_tokens(exchange: Exchange) -> float:
    """Return the tokens of prompt and completion that the request is expected to take.

    The completion has a typical length, or ``completion_limit`` if that is shorter.
    """
    head = exchange.request.head
    if head is None:
        return TYPICAL_OUTPUT_TOKENS
    limit = head.completion_limit
    output = TYPICAL_OUTPUT_TOKENS if limit is None or limit > TYPICAL_OUTPUT_TOKENS else limit
    return output + head.prompt_tokens(exchange.request.body_bytes)


class EndpointLatency(NamedTuple):
    """Hold the p95 in seconds of the latency of one endpoint of ``provider``."""

    p95_s: float
    provider: str


class Hedging:
    """Hold one worker's budget: every request adds ``share`` of its expected tokens, up to ``burst`` tokens.

    ``sent``, ``won`` and ``refused`` (for lack of budget) count hedged requests; ``tokens`` are those that the sent
    ones were expected to take.
    """

    def __init__(self, share: float, health: Health, burst: float = 10_000.0) -> None:
        self._share = share
        self._burst = burst
        self._health = health
        self._streams = PlanStatistics(lambda plan: self._latencies(plan, stream=True))
        self._responses = PlanStatistics(lambda plan: self._latencies(plan, stream=False))
        self._budget = burst
        self.sent = self.won = self.refused = 0
        self.tokens = 0.0

    def refill(self, exchange: Exchange) -> None:
        """Add the request's share to the budget."""
        if self._budget < self._burst:
            budget = self._budget + self._share * expected_tokens(exchange)
            self._budget = budget if budget < self._burst else self._burst

    def has_budget(self, exchange: Exchange) -> bool:
        """Return whether the budget allows a hedged request for this request, and count a refusal.

        A request larger than ``burst`` needs a full budget and leaves it negative.
        """
        if self._budget < min(expected_tokens(exchange), self._burst):
            self.refused += 1
            return False
        return True

    def spend(self, exchange: Exchange) -> None:
        """Take a hedged request out of the budget."""
        tokens = expected_tokens(exchange)
        self._budget -= tokens
        self.tokens += tokens
        self.sent += 1

    def report(self, outcome: AttemptOutcome, _exchange: Exchange) -> None:
        """Count a hedged request whose response was used."""
        self.won += outcome.hedge and outcome.ended not in ("lost", "failed")

    def hedge_delay_s(self, exchange: Exchange, decision: Decision, endpoint: Endpoint) -> float | None:
        """Return the seconds after which a call to ``endpoint`` is late, or ``None`` if no hedged request may be sent.

        The delay is at least the time that the prompt's length takes at any provider. A conversation with pending tool
        results or reasoning is not hedged, because only its provider can continue it.
        """
        plan, head, affinity = decision.plan, exchange.request.head, exchange.route.conversation
        if head is None or not plan.fallbacks or len(plan.endpoints) < 2 or plan.preferences.hedge is False:
            return None
        if affinity is not None and affinity.pinned and decision.arm.policy == STICKY:
            return None
        levels = (self._streams if head.stream else self._responses).get(plan)
        best = next((latency.p95_s for latency in levels if latency.provider != endpoint.provider), None)
        return None if best is None else max(best, exchange.request.body_bytes / 4 / PROMPT_TOKENS_PER_S)

    def may_hedge_to(self, first: Endpoint, second: Endpoint) -> bool:
        """Return whether ``second`` may be called beside ``first``: it belongs to another provider and is healthy."""
        return second.provider != first.provider and self._health.is_healthy(second.id)

    def _latencies(self, plan: Plan, *, stream: bool) -> list[EndpointLatency]:
        """Return the latencies of the measured, healthy endpoints, the fastest first."""

        def measured() -> Iterator[EndpointLatency]:
            for endpoint in plan.endpoints:
                levels = self._health.latency_quantiles(endpoint.id, (LATE_PERCENTILE,), MIN_MEASURED, stream=stream)
                if levels is not None and self._health.is_healthy(endpoint.id):
                    yield EndpointLatency(levels[0], endpoint.provider)

        return sorted(measured())
