"""The attempt loop: walk the plan until a provider's first byte has come."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from data.catalogue.types import Endpoint
from data.schema import Attempt
from router_service.contract.errors import ApiError, is_retryable
from router_service.exchange import Exchange
from router_service.routing.health import Health
from router_service.routing.plan import Decision
from router_service.routing.refusals import exhausted

T = TypeVar("T")
Call = Callable[[Endpoint, Attempt], Awaitable[T]]


class Attempts:
    """Tries endpoints of one request; every call leaves an ``Attempt`` in the exchange."""

    def __init__(self, exchange: Exchange, health: Health) -> None:
        self._exchange = exchange
        self._health = health
        self._reason = "sampled"
        self.retry_after: list[float | None] = []

    async def run(self, decisions: Iterator[Decision], call: Call[T]) -> T:
        """First success over all decisions. Raises the last ``ApiError`` when none succeeds."""
        last: ApiError | None = None
        for decision in decisions:
            if self._exchange.decision is None:
                self._exchange.decision = decision
            for endpoint in self._claimed(decision.order()):
                try:
                    return await self.attempt(endpoint, endpoint.model, call)
                except ApiError as error:
                    last = error
                    self.retry_after.append(error.retry_after)
                    if not is_retryable(error):
                        break
        if last is None:
            raise ApiError("not_found", "No endpoints found")
        raise self._with_history(last)

    def _claimed(self, order: Iterator[Endpoint]) -> Iterator[Endpoint]:
        """``order``, those behind that recover and are being probed by another request."""
        passed: list[Endpoint] = []
        for endpoint in order:
            if self._health.claim(endpoint.id):
                yield endpoint
            else:
                self._reason = "fallback:probed"
                passed.append(endpoint)
        yield from passed

    async def attempt(self, endpoint: Endpoint, model: str, call: Call[T]) -> T:
        """One call; failures are timed, logged and counted against the endpoint."""
        exchange = self._exchange
        started = time.perf_counter()
        attempt = Attempt(
            endpoint=endpoint.id,
            provider=endpoint.provider,
            model=model,
            reason=self._reason,
            started_us=int((started - exchange.clock) * 1e6),
        )
        exchange.attempts.append(attempt)
        try:
            return await call(endpoint, attempt)
        except ApiError as error:
            attempt.error_type = error.error_type
            self._reason = f"fallback:{error.error_type}"
            self._health.failure(endpoint.id, error.error_type, error.retry_after)
            raise
        finally:
            now = time.perf_counter()
            attempt.duration_us = int((now - started) * 1e6)
            exchange.upstream_wait += now - started

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
