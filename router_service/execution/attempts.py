"""Run the attempt loop: try the plan's endpoints until a provider's first byte arrives."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.record.attempt import CLIENT_DEADLINE, HEDGE, STALE, Attempt
from router_service.core.errors import ApiError, reference_error_type
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision
from router_service.execution.deadlines import PROMPT_TOKENS_PER_S, AttemptDeadline, Deadlines
from router_service.execution.fallback_queue import FallbackQueue
from router_service.execution.hedged_attempt import HedgedAttempt
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.execution.provider_call import DiscardResponse, ProviderCall
from router_service.execution.retries import RetryAction, retry_action
from router_service.health import Health
from router_service.planning.availability import exhausted_availability
from router_service.upstream.transport import DeadlineMissed, RouterExhausted, StaleConnection

T = TypeVar("T")


class AttemptLoop:
    """Try the endpoints of one request; every call leaves an ``Attempt`` in the exchange.

    ``hedged`` is true once the request has sent a hedged request; it sends at most one.
    """

    __slots__ = (
        "_reason", "_step", "_streamed", "deadlines", "exchange", "health", "hedged", "hedging", "outcomes",
        "retry_after",
    )  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        health: Health,
        deadlines: Deadlines,
        outcomes: OutcomeReporter,
        hedging: Hedging | None = None,
    ) -> None:
        self.exchange = exchange
        self.health = health
        self.deadlines = deadlines
        self.hedging = hedging
        self.outcomes = outcomes
        self.hedged = False
        self._streamed = bool(exchange.request.head and exchange.request.head.stream)
        self._step = exchange.route.step
        self._reason = "sampled"
        self.retry_after: list[float | None] = []

    async def run(self, decisions: Iterator[Decision], call: ProviderCall[T], discard: DiscardResponse[T]) -> T:
        """Return the first success over all decisions.

        ``discard`` closes a response that came too late to be used. Raises the last ``ApiError`` when no attempt
        succeeds or the total time is over.
        """
        last: ApiError | None = None
        too_small: dict[str, float] = {}
        if self.hedging is not None:
            self.hedging.refill(self.exchange)
        for decision in decisions:
            if self._step.decision is None:
                self._step.decision = decision
            queue = FallbackQueue(decision, self.health, too_small)
            for endpoint in queue:
                if queue.deferred:
                    self._reason, queue.deferred = "fallback:probed", False
                if self.deadlines.expired:
                    raise self._with_history(last or self.deadlines.expiry_error())
                limit = self.deadlines.first_token(decision.plan, endpoint.id, last=queue.remaining <= 0)
                delay_s = self._hedge_delay_s(decision, endpoint)
                try:
                    if self.hedging is None or delay_s is None or delay_s >= limit.seconds:
                        return await self.attempt(endpoint, limit, call)
                    hedged = HedgedAttempt(self, self.hedging, decision, queue, call, discard)
                    return await hedged.run(endpoint, limit, delay_s)
                except ApiError as error:
                    last = error
                    self.retry_after.append(error.retry_after)
                rule = retry_action(last)
                if rule is RetryAction.STOP:
                    raise self._with_history(last)
                if rule is RetryAction.NEXT_MODEL:
                    too_small[endpoint.model] = math.inf
                elif rule is RetryAction.LARGER_ENDPOINT:
                    too_small[endpoint.model] = max(too_small.get(endpoint.model, 0), endpoint.context_length)
        if last is None:
            raise ApiError("not_found", "No endpoints found")
        raise self._with_history(last)

    def _hedge_delay_s(self, decision: Decision, endpoint: Endpoint) -> float | None:
        """Return the seconds until a hedged request may be sent, or ``None``: a request sends at most one."""
        if self.hedging is None or self.hedged:
            return None
        return self.hedging.hedge_delay_s(self.exchange, decision, endpoint)

    async def attempt(
        self, endpoint: Endpoint, limit: AttemptDeadline, call: ProviderCall[T], recorded: Attempt | None = None
    ) -> T:
        """Call ``endpoint`` and allow at most ``limit`` until its first token.

        ``recorded`` is the attempt if it is in the exchange already. The call is repeated once if the provider had
        closed the pooled connection. A failure is timed and reported here; a response is reported when the request is
        settled. Raises ``ApiError``.
        """
        exchange = self.exchange
        started = time.perf_counter()
        attempt = recorded or self.begin(endpoint, self._reason)
        prompt_s = exchange.request.body_bytes / 4 / PROMPT_TOKENS_PER_S
        tracked = self.health.track(endpoint.id, stream=self._streamed, allowance_s=prompt_s)
        answered = False
        try:
            answer = await call(endpoint, attempt, min(limit.seconds, self.deadlines.remaining_s))
            answered = True
            return answer
        except ApiError as error:
            failure = error
        except asyncio.CancelledError:
            if attempt.reason != HEDGE:
                exchange.route.abandoned_endpoint = endpoint
            raise
        finally:
            self.health.untrack(tracked, answered=answered)
            now = time.perf_counter()
            attempt.duration_us = int((now - started) * 1e6)
            exchange.route.upstream_s += now - started
        stale = self._failed(attempt, limit, failure)
        if not stale:
            raise failure
        self._reason = STALE
        return await self.attempt(endpoint, limit, call)

    def _failed(self, attempt: Attempt, limit: AttemptDeadline, error: ApiError) -> bool:
        """Report the failure, and return whether the same endpoint is to be called once more.

        Raises ``TotalTimeoutExpired`` in place of ``error`` when the total time of the request is over.
        """
        expired = error.error_type == "timeout" and self.deadlines.expired
        client_deadline = limit.from_client and not expired and isinstance(error, DeadlineMissed)
        attempt.error_type = CLIENT_DEADLINE if client_deadline else error.error_type
        # The log cannot distinguish a second stale connection from a failure, so it counts as a failure.
        stale = retry_action(error) is RetryAction.SAME_ENDPOINT and attempt.reason != STALE
        self._reason = f"fallback:{attempt.error_type}"
        abandoned = expired or client_deadline or isinstance(error, (StaleConnection, RouterExhausted))
        self.outcomes.end(
            self.exchange,
            attempt,
            "abandoned" if abandoned else "failed",
            retry_after_s=error.retry_after,
            stale=stale,
        )
        if expired:
            raise self.deadlines.expiry_error() from error
        return stale

    def begin(self, endpoint: Endpoint, reason: str) -> Attempt:
        """Record a call that starts now, and return its attempt."""
        started_us = int((time.perf_counter() - self.exchange.request.arrival_s) * 1e6)
        attempt = Attempt(endpoint.id, endpoint.provider, endpoint.model, reason=reason, started_us=started_us)
        if self._step.number:
            attempt.step = self._step.number
        self.exchange.route.attempts.append(attempt)
        self.outcomes.begin(self.exchange, attempt)
        return attempt

    def _with_history(self, error: ApiError) -> ApiError:
        failed = [(a, a.error_type) for a in self.exchange.route.attempts[:-1] if a.error_type]
        if failed:
            error.metadata["previous_errors"] = [
                {"provider": a.provider, "code": reference_error_type(code), "status": a.status} for a, code in failed
            ]
        hints = [hint for hint in self.retry_after if hint is not None]
        error.retry_after = min(hints) if hints and len(hints) == len(self.retry_after) else None
        if error.availability is None:
            head = self.exchange.request.head
            tried = [a.provider for a in self.exchange.route.attempts]
            error.availability = exhausted_availability(error, head.requested_models() if head else [], tried)
        return error
