"""Make one attempt, and send a hedged request to another endpoint if the first is late."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

from data.catalogue.types import Endpoint
from data.record.attempt import HEDGE, LOST, Attempt
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision
from router_service.core.route_trace import HedgeLoser
from router_service.execution.deadlines import AttemptDeadline, Deadlines
from router_service.execution.fallback_queue import FallbackQueue
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.execution.provider_call import DiscardResponse, ProviderCall
from router_service.execution.race import Race

logger = logging.getLogger(__name__)
T = TypeVar("T")


class AttemptRunner(Protocol[T]):
    """Make attempts for one request: the part of ``AttemptLoop`` that a hedged request needs."""

    exchange: Exchange
    deadlines: Deadlines
    outcomes: OutcomeReporter
    hedged: bool
    retry_after: list[float | None]

    async def attempt(
        self, endpoint: Endpoint, limit: AttemptDeadline, call: ProviderCall[T], recorded: Attempt | None = None
    ) -> T: ...
    def begin(self, endpoint: Endpoint, reason: str) -> Attempt: ...


class HedgedAttempt(Generic[T]):
    """Race two calls to the first token. The loser is cancelled, recorded as ``LOST``, and its cost is kept apart."""

    def __init__(
        self,
        attempts: AttemptRunner[T],
        hedging: Hedging,
        decision: Decision,
        queue: FallbackQueue,
        call: ProviderCall[T],
        discard: DiscardResponse[T],
    ) -> None:
        self._attempts = attempts
        exchange = self._exchange = attempts.exchange
        self._streamed = bool(exchange.request.head and exchange.request.head.stream)
        self._hedging = hedging
        self._decision = decision
        self._queue = queue
        self._call = call
        self._discard = discard
        self._hedge_endpoint: Endpoint | None = None
        self._first_attempt = len(exchange.route.attempts)

    async def run(self, first: Endpoint, limit: AttemptDeadline, delay_s: float) -> T:
        """Return the response that comes first. A hedged request is sent after ``delay_s`` seconds if the budget allows
        it.

        Raises ``ApiError`` of the call that failed last.
        """
        exchange = self._exchange
        self._first_endpoint = first
        upstream_before_s, started = exchange.route.upstream_s, time.perf_counter()
        race = Race(self._start_hedge, self._discard_late, self._hedge_failed)
        try:
            answer = await race.run(self._attempts.attempt(first, limit, self._call), delay_s)
        except asyncio.CancelledError:
            # The client has disconnected. One of the two calls was sent for the router's own purpose.
            if self._hedge_endpoint is not None and self._attempt_of(first).error_type is None:
                self._record_loser(self._hedge_endpoint)
            raise
        finally:
            # The time of two concurrent calls counts once.
            exchange.route.upstream_s = upstream_before_s + time.perf_counter() - started
        if self._hedge_endpoint is not None:
            self._report_loser(first if race.hedge_won else self._hedge_endpoint)
        return answer

    def _start_hedge(self) -> Coroutine[Any, Any, T] | None:
        hedging, attempts = self._hedging, self._attempts
        if attempts.deadlines.expired or not hedging.has_budget(self._exchange):
            return None
        hedge_endpoint = self._hedge_endpoint = self._queue.next_if(
            lambda other: hedging.may_hedge_to(self._first_endpoint, other)
        )
        if hedge_endpoint is None:
            return None
        hedging.spend(self._exchange)
        attempts.hedged = True
        limit = attempts.deadlines.first_token(self._decision.plan, hedge_endpoint.id, last=self._queue.remaining <= 0)
        return attempts.attempt(hedge_endpoint, limit, self._call, attempts.begin(hedge_endpoint, HEDGE))

    def _attempt_of(self, endpoint: Endpoint) -> Attempt:
        """Return the endpoint's last attempt: an earlier one may have met a closed pooled connection."""
        tried = self._exchange.route.attempts[self._first_attempt :]
        return next(attempt for attempt in reversed(tried) if attempt.endpoint == endpoint.id)

    def _report_loser(self, endpoint: Endpoint) -> None:
        """Record that the call to ``endpoint`` was cancelled, unless it had failed before."""
        exchange, attempts, attempt = self._exchange, self._attempts, self._attempt_of(endpoint)
        if attempt.error_type is not None:
            return
        elapsed_us = exchange.request.elapsed_us() - attempt.started_us
        attempt.error_type, attempt.duration_us = LOST, elapsed_us
        attempts.outcomes.end(exchange, attempt, "lost")
        self._record_loser(endpoint)

    def _record_loser(self, endpoint: Endpoint) -> None:
        """Keep the loser for the cost estimate.

        The headers of a non-streaming response arrive at its end, so its provider is assumed to have started.
        A provider whose way with disconnects is unknown is taken to stop: nothing but a prompt is estimated for it.
        """
        stops = endpoint.cancellation != "bills_to_end"
        started = self._attempt_of(endpoint).status == 200 or not stops or not self._streamed
        assert endpoint.price is not None  # an endpoint without one is never eligible
        self._exchange.route.hedge_loser = HedgeLoser(endpoint.price, started, stops)

    def _discard_late(self, answer: T) -> None:
        usage = self._discard(answer)
        if usage is not None and self._exchange.route.hedge_loser is not None:
            self._exchange.route.hedge_loser = self._exchange.route.hedge_loser._replace(usage=usage)

    def _hedge_failed(self, error: BaseException) -> None:
        """Record that the hedged request failed while the first call continues."""
        if isinstance(error, ApiError):
            self._attempts.retry_after.append(error.retry_after)
        else:
            logger.error("request %s: its hedged request failed", self._exchange.request.id, exc_info=error)
