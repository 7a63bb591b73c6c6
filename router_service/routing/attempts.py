"""The attempt loop: walk the plan until a provider's first byte has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.schema import Attempt
from router_service.contract.errors import ApiError
from router_service.exchange import Exchange
from router_service.routing.deadlines import Deadlines
from router_service.routing.health import Health
from router_service.routing.plan import Decision
from router_service.routing.refusals import exhausted
from router_service.routing.retries import Then, then
from router_service.upstream.interface import StaleConnection

T = TypeVar("T")
# The endpoint, the attempt to fill in, and the seconds until the first token.
Call = Callable[[Endpoint, Attempt, float], Awaitable[T]]


class Attempts:
    """Tries endpoints of one request; every call leaves an ``Attempt`` in the exchange."""

    def __init__(self, exchange: Exchange, health: Health, deadlines: Deadlines) -> None:
        self._exchange = exchange
        self._health = health
        self._deadlines = deadlines
        self._reason = "sampled"
        self.retry_after: list[float | None] = []

    async def run(self, decisions: Iterator[Decision], call: Call[T]) -> T:
        """First success over all decisions. Raises the last ``ApiError`` when none succeeds or time is over."""
        last: ApiError | None = None
        refused: set[str] = set()
        for decision in decisions:
            if self._exchange.decision is None:
                self._exchange.decision = decision
            plan = decision.plan
            left = len(plan.endpoints) if plan.fallbacks else 1
            for endpoint in self._claimed(decision.order(), refused):
                left -= 1
                if self._deadlines.over:
                    raise self._with_history(last or self._deadlines.expired())
                limit = self._deadlines.first_token(plan, endpoint.id, last=left <= 0)
                try:
                    return await self._once_or_twice(endpoint, limit, call)
                except ApiError as error:
                    last = error
                    self.retry_after.append(error.retry_after)
                rule = then(last)
                if rule is Then.STOP:
                    raise self._with_history(last)
                if rule is Then.NEXT_MODEL:
                    refused.add(endpoint.model)
        if last is None:
            raise ApiError("not_found", "No endpoints found")
        raise self._with_history(last)

    def _claimed(self, order: Iterator[Endpoint], refused: set[str]) -> Iterator[Endpoint]:
        """``order`` but for models in ``refused``; behind are those that recover and that another request probes."""
        passed: list[Endpoint] = []
        for endpoint in order:
            if endpoint.model in refused:
                continue
            if self._health.claim(endpoint.id):
                yield endpoint
            else:
                self._reason = "fallback:probed"
                passed.append(endpoint)
        yield from (endpoint for endpoint in passed if endpoint.model not in refused)

    async def _once_or_twice(self, endpoint: Endpoint, limit: float, call: Call[T]) -> T:
        try:
            return await self.attempt(endpoint, limit, call)
        except ApiError as error:
            if then(error) is not Then.SAME_ENDPOINT:
                raise
        self._reason = "retry:stale_connection"
        return await self.attempt(endpoint, limit, call)

    async def attempt(self, endpoint: Endpoint, limit: float, call: Call[T]) -> T:
        """One call of at most ``limit`` seconds to its first token; failures are timed, logged and counted."""
        exchange = self._exchange
        started = time.perf_counter()
        attempt = Attempt(
            endpoint=endpoint.id,
            provider=endpoint.provider,
            model=endpoint.model,
            reason=self._reason,
            started_us=int((started - exchange.clock) * 1e6),
        )
        exchange.attempts.append(attempt)
        try:
            return await call(endpoint, attempt, min(limit, self._deadlines.left))
        except ApiError as error:
            attempt.error_type = error.error_type
            self._reason = f"fallback:{error.error_type}"
            if error.error_type == "timeout" and self._deadlines.over:
                self._health.abandon(endpoint.id)
                raise self._deadlines.expired() from error
            self._count(endpoint.id, error)
            raise
        except asyncio.CancelledError:
            self._health.abandon(endpoint.id)
            raise
        finally:
            now = time.perf_counter()
            attempt.duration_us = int((now - started) * 1e6)
            exchange.upstream_wait += now - started

    def _count(self, endpoint: str, error: ApiError) -> None:
        if isinstance(error, StaleConnection):
            self._health.abandon(endpoint)
        else:
            self._health.failure(endpoint, error.error_type, error.retry_after)

    def _with_history(self, error: ApiError) -> ApiError:
        failed = [a for a in self._exchange.attempts[:-1] if a.error_type]
        if failed:
            error.metadata["previous_errors"] = [
                {"provider": a.provider, "code": a.error_type, "status": a.status} for a in failed
            ]
        hints = [hint for hint in self.retry_after if hint is not None]
        error.retry_after = min(hints) if hints and len(hints) == len(self.retry_after) else None
        if error.availability is None:
            head = self._exchange.head
            tried = [a.provider for a in self._exchange.attempts]
            error.availability = exhausted(error, head.wanted() if head else [], tried)
        return error
