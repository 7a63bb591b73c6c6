"""The attempt loop: walk the plan until a provider's first byte has come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.schema import CLIENT_DEADLINE, STALE, Attempt
from router_service.core.errors import ApiError, reference_type
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
from router_service.upstream.transport import DeadlineMissed, StaleConnection

T = TypeVar("T")


class Attempts:
    """Tries endpoints of one request; every call leaves an ``Attempt`` in the exchange."""

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
        self._streamed = bool(exchange.head and exchange.head.stream)
        self._reason = "sampled"
        self.retry_after: list[float | None] = []

    async def run(self, decisions: Iterator[Decision], call: ProviderCall[T], discard: DiscardResponse[T]) -> T:
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
        self, endpoint: Endpoint, limit: AttemptDeadline, call: ProviderCall[T], begun: Attempt | None = None
    ) -> T:
        """Call ``endpoint`` for at most ``limit`` to its first token; ``begun`` is the attempt if it is noted already.

        The call is made once more where it met a kept connection that the provider had closed. A failure is timed and
        reported here; an answer is reported when the request is settled.
        """
        exchange = self.exchange
        started = time.perf_counter()
        attempt = begun or self.begin(endpoint, self._reason)
        prompt_s = len(exchange.body) / 4 / PROMPT_TOKENS_PER_S
        tracked = self.health.track(endpoint.id, stream=self._streamed, allowance_s=prompt_s)
        answered = False
        try:
            answer = await call(endpoint, attempt, min(limit.seconds, self.deadlines.left))
            answered = True
            return answer
        except ApiError as error:
            failure = error
        finally:
            self.health.untrack(tracked, answered=answered)
            now = time.perf_counter()
            attempt.duration_us = int((now - started) * 1e6)
            exchange.upstream_wait += now - started
        stale = self._failed(attempt, limit, failure)
        if not stale:
            raise failure
        self._reason = STALE
        return await self.attempt(endpoint, limit, call)

    def _failed(self, attempt: Attempt, limit: AttemptDeadline, error: ApiError) -> bool:
        """Report the failure, and return whether the same endpoint is to be called once more.

        Raises ``TotalTimeoutExpired`` in place of ``error`` where the time of the whole request is over.
        """
        over = error.error_type == "timeout" and self.deadlines.over
        impatient = limit.impatient and not over and isinstance(error, DeadlineMissed)
        attempt.error_type = CLIENT_DEADLINE if impatient else error.error_type
        # The log cannot tell a second stale connection from a failure: it counts as one.
        stale = retry_action(error) is RetryAction.SAME_ENDPOINT and attempt.reason != STALE
        self._reason = f"fallback:{attempt.error_type}"
        abandoned = over or impatient or isinstance(error, StaleConnection)
        self.outcomes.end(
            self.exchange,
            attempt,
            "abandoned" if abandoned else "failed",
            retry_after_s=error.retry_after,
            stale=stale,
        )
        if over:
            raise self.deadlines.expired() from error
        return stale

    def begin(self, endpoint: Endpoint, reason: str) -> Attempt:
        """Note a call that begins now."""
        started_us = int((time.perf_counter() - self.exchange.clock) * 1e6)
        attempt = Attempt(endpoint.id, endpoint.provider, endpoint.model, reason=reason, started_us=started_us)
        self.exchange.attempts.append(attempt)
        self.outcomes.begin(self.exchange, attempt)
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
