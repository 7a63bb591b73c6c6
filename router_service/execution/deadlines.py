"""Limit the duration of a request's attempts. All times are in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.plan import Plan
from router_service.execution.plan_statistics import PlanStatistics
from router_service.health import Health
from router_service.planning.service_tiers import FLEX

# An attempt may take twice the p95 of the fastest alternative: cutting a call that was about to succeed costs at most
# as much again.
FALLBACK_P95_MULTIPLE = 2.0
# This figure is ours. Fewer than 1 in 200 log-normal latencies, distributed as in the lab's sources, exceed four times
# p90, so an endpoint that is always slower than the others is not cut for it.
OWN_P90_MULTIPLE = 4.0
MIN_MEASURED = 20
MIN_TTFT_DEADLINE_S = 2.0
# Prefill at a slow provider; the first token of a long prompt is late everywhere.
PROMPT_TOKENS_PER_S = 1000.0
TIMER_TOLERANCE_S = 0.01


class Timeouts(NamedTuple):
    """Hold the installation's limits in seconds.

    ``ttft_s`` is for the first token of a stream, ``answer_s`` for a non-streaming response, ``stall_s`` for the gap
    between two chunks of a stream, ``total_s`` for a request over all its attempts.
    """

    ttft_s: float
    answer_s: float
    stall_s: float
    total_s: float


class TotalTimeoutExpired(ApiError):
    """Report that the request's total time is over, which says nothing about the endpoint that was being called."""

    def __init__(self, total_s: float) -> None:
        super().__init__("timeout", f"The response was not complete within {total_s:g} s; ask for fewer tokens")


class AttemptDeadline(msgspec.Struct, frozen=True, gc=False):
    """Limit an attempt to ``seconds``.

    ``from_client`` is true if the limit of the request or its key is shorter than the router's own: an endpoint that
    misses it has not failed.
    """

    seconds: float
    from_client: bool = False


class TtftPercentiles(NamedTuple):
    """Hold p90 and p95 of an endpoint's TTFT in seconds, and whether the endpoint is healthy now."""

    p90: float
    p95: float
    healthy: bool


class MeasuredDeadlines:
    """Derive deadlines from the TTFT that the endpoints of a plan had over the last 30 minutes."""

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._statistics = PlanStatistics(self._measure, clock)

    def ttft_deadline_s(self, plan: Plan, endpoint: str) -> float | None:
        """Return the seconds after which ``endpoint`` is abandoned for another.

        Return ``None`` unless it and a healthy alternative are measured. The deadline is ``FALLBACK_P95_MULTIPLE``
        times the p95 of the fastest alternative, or ``OWN_P90_MULTIPLE`` times the endpoint's own p90 if that is later.
        """
        levels = self._statistics.get(plan)
        own = levels.get(endpoint)
        others = [other.p95 for name, other in levels.items() if name != endpoint and other.healthy]
        return max(FALLBACK_P95_MULTIPLE * min(others), OWN_P90_MULTIPLE * own.p90) if own and others else None

    def _measure(self, plan: Plan) -> dict[str, TtftPercentiles]:
        found = {}
        for name in (endpoint.id for endpoint in plan.endpoints):
            levels = self._health.latency_quantiles(name, (90, 95), MIN_MEASURED, stream=True)
            if levels is not None:
                found[name] = TtftPercentiles(levels[0], levels[1], self._health.is_healthy(name))
        return found


class Deadlines:
    """Compute the deadlines of one request: its own limits come first, then the installation's settings.

    A limit that the request sets on the first token applies to every attempt. Without one an attempt of a stream that
    another endpoint could follow may end earlier than the setting says, by ``MeasuredDeadlines``. A non-streaming
    response counts as one first token. A stream of the flex tier may take as long as a non-streaming response.
    """

    __slots__ = ("_exchange", "_measured", "_timeouts")

    def __init__(self, exchange: Exchange, timeouts: Timeouts, measured: MeasuredDeadlines) -> None:
        self._exchange = exchange
        self._timeouts = timeouts
        self._measured = measured

    @property
    def remaining_s(self) -> float:
        """Return the seconds left of the total time over all attempts."""
        return self._timeouts.total_s - (time.perf_counter() - self._exchange.request.arrival_s)

    @property
    def expired(self) -> bool:
        """Return whether the total time is over. Timers may fire slightly early."""
        return self.remaining_s <= TIMER_TOLERANCE_S

    def first_token(self, plan: Plan, endpoint: str, *, last: bool) -> AttemptDeadline:
        """Return the limit from the start of an attempt, connecting included; ``last`` if no endpoint could follow."""
        return _limit(plan.preferences.ttft_timeout, self._first_token(plan, endpoint, last=last))

    def stall(self) -> AttemptDeadline:
        """Return the limit on the gap between two chunks of a stream that has started."""
        decision = self._exchange.route.step.decision
        wanted = decision.plan.preferences.stall_timeout if decision else None
        return _limit(wanted, self._timeouts.stall_s)

    def expiry_error(self) -> TotalTimeoutExpired:
        """Return the error for a request whose total time is over."""
        return TotalTimeoutExpired(self._timeouts.total_s)

    def _first_token(self, plan: Plan, endpoint: str, *, last: bool) -> float:
        timeouts, head = self._timeouts, self._exchange.request.head
        if not head or not head.stream:
            return timeouts.total_s if last else timeouts.answer_s
        if plan.service_tier == FLEX:
            return timeouts.answer_s
        measured_s = None if last else self._measured.ttft_deadline_s(plan, endpoint)
        if measured_s is None:
            return timeouts.ttft_s
        min_s = MIN_TTFT_DEADLINE_S + self._exchange.request.body_bytes / 4 / PROMPT_TOKENS_PER_S
        return min(timeouts.ttft_s, max(min_s, measured_s))


def _limit(wanted: float | None, own: float) -> AttemptDeadline:
    return AttemptDeadline(own) if wanted is None else AttemptDeadline(wanted, wanted < own)
