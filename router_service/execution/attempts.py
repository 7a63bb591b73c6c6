"""The attempt loop: walk the plan until a provider's first byte has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.schema import CLIENT_DEADLINE, STALE, Attempt
from router_service.core.errors import ApiError, reference_type
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision
from router_service.core.usage import Usage
from router_service.execution.deadlines import PROMPT_TOKENS_PER_S, AttemptDeadline, Deadlines
from router_service.execution.fallback_queue import FallbackQueue
from router_service.execution.hedged_attempt import HedgedAttempt
from router_service.execution.hedging import Hedging
from router_service.execution.retries import RetryAction, retry_action
from router_service.health import Health
from router_service.health.live_statistics import LiveStatistics
from router_service.planning.availability import exhausted_availability
from router_service.upstream.transport import DeadlineMissed, StaleConnection

T = TypeVar("T")
# The endpoint, the attempt to fill in, and the seconds until the first token.
Call = Callable[[Endpoint, Attempt, float], Awaitable[T]]
# Lets go of an answer that nobody takes; returns what its provider counted for it, where that is known.
Discard = Callable[[T], Usage | None]


class Attempts:
    """Tries endpoints of one request; every call leaves an ``Attempt`` in the exchange."""

    def __init__(
        self,
        exchange: Exchange,
        health: Health,
        deadlines: Deadlines,
        hedging: Hedging | None = None,
        observing: LiveStatistics | None = None,
    ) -> None:
        self.exchange = exchange
        self.health = health
        self.deadlines = deadlines
        self.hedging = hedging
        self.observing = observing
        self.hedged = False
        self._streamed = bool(exchange.head and exchange.head.stream)
        self._reason = "sampled"
        self.retry_after: list[float | None] = []

    async def run(self, decisions: Iterator[Decision], call: Call[T], discard: Discard[T]) -> T:
        """First success over all decisions. Raises the last ``ApiError`` when none succeeds or time is over."""
        last: ApiError | None = None
        refused: set[str] = set()
        if self.hedging is not None:
            self.hedging.earn(self.exchange)
        for decision in decisions:
            if self.exchange.decision is None:
                self.exchange.decision = decision
            untried = FallbackQueue(decision, self.health, refused)
            for endpoint in untried:
                if untried.probed:
                    self._reason, untried.probed = "fallback:probed", False
                if self.deadlines.over:
                    raise self._with_history(last or self.deadlines.expired())
                limit = self.deadlines.first_token(decision.plan, endpoint.id, last=untried.left <= 0)
                late = self._late_after(decision, endpoint)
                try:
                    if self.hedging is None or late is None or late >= limit.seconds:
                        return await self.attempt(endpoint, limit, call)
                    hedged = HedgedAttempt(self, self.hedging, decision, untried, call, discard)
                    return await hedged.run(endpoint, limit, late)
                except ApiError as error:
                    last = error
                    self.retry_after.append(error.retry_after)
                rule = retry_action(last)
                if rule is RetryAction.STOP:
                    raise self._with_history(last)
                if rule is RetryAction.NEXT_MODEL:
                    refused.add(endpoint.model)
        if last is None:
            raise ApiError("not_found", "No endpoints found")
        raise self._with_history(last)

    def _late_after(self, decision: Decision, endpoint: Endpoint) -> float | None:
        """A request has one second call at most."""
        if self.hedging is None or self.hedged:
            return None
        return self.hedging.late_after(self.exchange, decision, endpoint)

    async def attempt(
        self, endpoint: Endpoint, limit: AttemptDeadline, call: Call[T], begun: Attempt | None = None
    ) -> T:
        """A call of at most ``limit`` to its first token, which may have been noted as ``begun``; one more where it met
        a kept connection that had been ended. Failures are timed, logged and counted.
        """
        exchange = self.exchange
        started = time.perf_counter()
        attempt = begun or self.begin(endpoint, self._reason)
        prompt_s = len(exchange.body) / 4 / PROMPT_TOKENS_PER_S
        under_way = self.health.begin(endpoint.id, stream=self._streamed, allowance_s=prompt_s)
        answered = stale = False
        try:
            answer = await call(endpoint, attempt, min(limit.seconds, self.deadlines.left))
            answered = True
            return answer
        except ApiError as error:
            over = error.error_type == "timeout" and self.deadlines.over
            impatient = limit.impatient and not over and isinstance(error, DeadlineMissed)
            attempt.error_type = CLIENT_DEADLINE if impatient else error.error_type
            # A second one is for the log, which knows no better, a failure.
            stale = retry_action(error) is RetryAction.SAME_ENDPOINT and attempt.reason != STALE
            self._reason = f"fallback:{attempt.error_type}"
            if over or impatient or isinstance(error, StaleConnection):
                self.health.abandon(endpoint.id)
            else:
                self.health.failure(endpoint.id, error.error_type, error.retry_after, under_way.began)
            if over:
                raise self.deadlines.expired() from error
            if not stale:
                raise
        except asyncio.CancelledError:
            self.health.abandon(endpoint.id)
            raise
        finally:
            self.health.end(under_way, answered=answered)
            now = time.perf_counter()
            attempt.duration_us = int((now - started) * 1e6)
            exchange.upstream_wait += now - started
            if attempt.error_type is not None and self.observing is not None:
                self.observing.end(exchange, attempt, stale=stale)
        self._reason = STALE
        return await self.attempt(endpoint, limit, call)

    def begin(self, endpoint: Endpoint, reason: str) -> Attempt:
        """Note a call that begins now."""
        started_us = int((time.perf_counter() - self.exchange.clock) * 1e6)
        attempt = Attempt(endpoint.id, endpoint.provider, endpoint.model, reason=reason, started_us=started_us)
        self.exchange.attempts.append(attempt)
        if self.observing is not None:
            self.observing.begin(self.exchange, attempt)
        return attempt

    def _with_history(self, error: ApiError) -> ApiError:
        failed = [(a, a.error_type) for a in self.exchange.attempts[:-1] if a.error_type]
        if failed:
            error.metadata["previous_errors"] = [
                {"provider": a.provider, "code": reference_type(code), "status": a.status} for a, code in failed
            ]
        hints = [hint for hint in self.retry_after if hint is not None]
        error.retry_after = min(hints) if hints and len(hints) == len(self.retry_after) else None
        if error.availability is None:
            head = self.exchange.head
            tried = [a.provider for a in self.exchange.attempts]
            error.availability = exhausted_availability(error, head.wanted() if head else [], tried)
        return error
