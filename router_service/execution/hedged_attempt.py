"""One attempt with a second call beside it, should it be late."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

from data.catalogue.types import Endpoint
from data.schema import HEDGE, LOST, Attempt
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange, HedgeLoser
from router_service.core.plan import Decision
from router_service.execution.deadlines import AttemptDeadline, Deadlines
from router_service.execution.fallback_queue import FallbackQueue
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.execution.provider_call import DiscardResponse, ProviderCall
from router_service.execution.race import Race

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Attempting(Protocol[T]):
    """Make attempts for one request: what a hedged request needs of ``Attempts``."""

    exchange: Exchange
    deadlines: Deadlines
    outcomes: OutcomeReporter
    hedged: bool
    retry_after: list[float | None]

    async def attempt(
        self, endpoint: Endpoint, limit: AttemptDeadline, call: ProviderCall[T], begun: Attempt | None = None
    ) -> T: ...
    def begin(self, endpoint: Endpoint, reason: str) -> Attempt: ...


class HedgedAttempt(Generic[T]):
    """The first token of either call wins. The other is cut, noted as ``LOST``, and what it may cost kept apart."""

    def __init__(
        self,
        attempts: Attempting[T],
        hedging: Hedging,
        decision: Decision,
        untried: FallbackQueue,
        call: ProviderCall[T],
        discard: DiscardResponse[T],
    ) -> None:
        self._attempts = attempts
        exchange = self._exchange = attempts.exchange
        self._streamed = bool(exchange.head and exchange.head.stream)
        self._hedging = hedging
        self._decision = decision
        self._untried = untried
        self._call = call
        self._discard = discard
        self._second: Endpoint | None = None
        self._place = len(exchange.attempts)

    async def run(self, first: Endpoint, limit: AttemptDeadline, late: float) -> T:
        """As ``Attempts.attempt``; ``late`` seconds later a second call goes out if there is one to spend.

        Raises ``ApiError`` of the call that failed last.
        """
        exchange = self._exchange
        self._first = first
        waited, begun = exchange.upstream_wait, time.perf_counter()
        race = Race(self._begin, self._too_late, self._failed)
        try:
            answer = await race.run(self._attempts.attempt(first, limit, self._call), late)
        except asyncio.CancelledError:
            # The client has left. Of two calls under way one was ours alone.
            if self._second is not None and self._attempt_of(first).error_type is None:
                self._account(self._second)
            raise
        finally:
            # Two calls at a time are waited for once.
            exchange.upstream_wait = waited + time.perf_counter() - begun
        if self._second is not None:
            self._lost(first if race.won else self._second)
        return answer

    def _begin(self) -> Coroutine[Any, Any, T] | None:
        hedging, attempts = self._hedging, self._attempts
        if attempts.deadlines.over or not hedging.affords(self._exchange):
            return None
        second = self._second = self._untried.take(lambda other: hedging.fits(self._first, other))
        if second is None:
            return None
        hedging.spend(self._exchange)
        attempts.hedged = True
        limit = attempts.deadlines.first_token(self._decision.plan, second.id, last=self._untried.left <= 0)
        return attempts.attempt(second, limit, self._call, attempts.begin(second, HEDGE))

    def _attempt_of(self, endpoint: Endpoint) -> Attempt:
        """The last one: a kept connection may have been ended at the one before."""
        tried = self._exchange.attempts[self._place :]
        return next(attempt for attempt in reversed(tried) if attempt.endpoint == endpoint.id)

    def _lost(self, endpoint: Endpoint) -> None:
        """Note that ``endpoint`` was cut, unless it had failed before."""
        exchange, attempts, attempt = self._exchange, self._attempts, self._attempt_of(endpoint)
        if attempt.error_type is not None:
            return
        waited_us = exchange.elapsed_us() - attempt.started_us
        attempt.error_type, attempt.duration_us = LOST, waited_us
        attempts.outcomes.end(exchange, attempt, "lost")
        self._account(endpoint)

    def _account(self, endpoint: Endpoint) -> None:
        """A whole answer's headers come with its end: that its provider has begun is taken for granted."""
        stops = endpoint.provider not in self._hedging.unstoppable
        begun = self._attempt_of(endpoint).status == 200 or not stops or not self._streamed
        assert endpoint.price is not None  # an endpoint without one is never eligible
        self._exchange.hedge_loser = HedgeLoser(endpoint.price, begun, stops)

    def _too_late(self, answer: T) -> None:
        usage = self._discard(answer)
        if usage is not None and self._exchange.hedge_loser is not None:
            self._exchange.hedge_loser = self._exchange.hedge_loser._replace(usage=usage)

    def _failed(self, error: BaseException) -> None:
        """The second call, while the first goes on."""
        if isinstance(error, ApiError):
            self._attempts.retry_after.append(error.retry_after)
        else:
            logger.error("request %s: its second call failed", self._exchange.id, exc_info=error)
