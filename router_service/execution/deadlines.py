"""How long a request's attempts may take. All times in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.plan import Plan
from router_service.execution.plan_statistics import PlanStatistics
from router_service.health import Health
from router_service.planning.service_tiers import FLEX

# What asking somebody else is expected to take in 95 of 100 cases, twice: so much may be lost to a call that would have
# come a moment later.
ALTERNATIVES = 2.0
# Ours. Of log-normal latencies as the lab's sources have them, four times p90 is passed by fewer than 1 in 200: an
# endpoint that is always slower than the others is not cut for it.
OWN = 4.0
LEAST_MEASURED = 20
SHORTEST_S = 2.0
# Slow prefill: a long prompt's first token is late at every provider.
PROMPT_TOKENS_PER_S = 1000.0
TIMER_S = 0.01


class Timeouts(NamedTuple):
    """Hold the installation's limits in seconds.

    ``ttft_s`` is for the first token of a stream, ``answer_s`` for a non-streaming response, ``stall_s`` between two
    pieces of a stream, ``total_s`` for a request over all its attempts.
    """

    ttft_s: float
    answer_s: float
    stall_s: float
    total_s: float


class TotalTimeoutExpired(ApiError):
    """The request's total time is over. It says nothing about the endpoint that was at work."""

    def __init__(self, total_s: float) -> None:
        super().__init__("timeout", f"The request was not complete within {total_s:g} s")


class AttemptDeadline(NamedTuple):
    """How long to wait. ``impatient`` where the request's or its key's wish is shorter than the router would wait:
    whoever misses it has not failed.
    """

    seconds: float
    impatient: bool = False


class UsualTtft(NamedTuple):
    """p90 and p95 of an endpoint's TTFT."""

    p90: float
    p95: float
    sound: bool


class UsualLatency:
    """What endpoints of a plan usually take to the first token, over 30 minutes."""

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._levels = PlanStatistics(self._measure, clock)

    def patience(self, plan: Plan, endpoint: str) -> float | None:
        """Seconds after which ``endpoint`` is given up for another; ``None`` unless it and another are measured."""
        levels = self._levels.of(plan)
        own = levels.get(endpoint)
        others = [usual.p95 for name, usual in levels.items() if name != endpoint and usual.sound]
        return max(ALTERNATIVES * min(others), OWN * own.p90) if own and others else None

    def _measure(self, plan: Plan) -> dict[str, UsualTtft]:
        found = {}
        for name in (endpoint.id for endpoint in plan.endpoints):
            waits = self._health.waits(name, (90, 95), LEAST_MEASURED, stream=True)
            if waits is not None:
                found[name] = UsualTtft(waits[0], waits[1], self._health.sound(name))
        return found


class Deadlines:
    """Those of one request: its own wish first, then the installation's settings.

    A wish for the first token holds for every attempt. Without one a stream's attempt that others could follow
    ends earlier than the setting says, where the endpoint and another have been measured: at ``ALTERNATIVES`` times the
    p95 of the quickest other, or ``OWN`` times its own p90 where that is later.
    A whole answer is its own first token. A stream of the flex tier may be as late as a whole answer.
    """

    def __init__(self, exchange: Exchange, timeouts: Timeouts, usual: UsualLatency) -> None:
        self._exchange = exchange
        self._timeouts = timeouts
        self._usual = usual

    @property
    def left(self) -> float:
        """Of the total, over all attempts."""
        return self._timeouts.total_s - (time.perf_counter() - self._exchange.clock)

    @property
    def over(self) -> bool:
        """Whether the total is spent. Timers may come a little early."""
        return self.left <= TIMER_S

    def first_token(self, plan: Plan, endpoint: str, *, last: bool) -> AttemptDeadline:
        """From the start of an attempt, its connection included; ``last`` when no endpoint could follow it."""
        return _limit(plan.preferences.ttft_timeout, self._first_token(plan, endpoint, last=last))

    def stall(self) -> AttemptDeadline:
        """Between two pieces of a stream that has begun."""
        decision = self._exchange.decision
        wanted = decision.plan.preferences.stall_timeout if decision else None
        return _limit(wanted, self._timeouts.stall_s)

    def expired(self) -> TotalTimeoutExpired:
        return TotalTimeoutExpired(self._timeouts.total_s)

    def _first_token(self, plan: Plan, endpoint: str, *, last: bool) -> float:
        timeouts, head = self._timeouts, self._exchange.head
        if not head or not head.stream:
            return timeouts.total_s if last else timeouts.answer_s
        if plan.service_tier == FLEX:
            return timeouts.answer_s
        usual = None if last else self._usual.patience(plan, endpoint)
        if usual is None:
            return timeouts.ttft_s
        least = SHORTEST_S + len(self._exchange.body) / 4 / PROMPT_TOKENS_PER_S
        return min(timeouts.ttft_s, max(least, usual))


def _limit(wanted: float | None, own: float) -> AttemptDeadline:
    return AttemptDeadline(own) if wanted is None else AttemptDeadline(wanted, wanted < own)
