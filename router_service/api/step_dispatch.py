"""Plan and dispatch a request: the innermost step of the middleware, which it may take several times."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from router_service.api.decisions import decisions_of
from router_service.api.services import Services
from router_service.api.skins.head import head_like
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.request_source import RequestSource
from router_service.core.route_trace import RouteStep
from router_service.execution.dispatch import CommittedAttempt
from router_service.execution.relayed_answer import RelayedAnswer


class StepDispatch:
    """Implement ``Next``. ``source`` is the request as the client sent it, whose head the exchange has."""

    __slots__ = ("_services", "_source", "_taken")

    def __init__(self, services: Services, source: RequestSource) -> None:
        self._services = services
        self._source = source
        self._taken = False

    async def __call__(self, exchange: Exchange, request: GenerationRequest) -> RelayedAnswer:
        if request is self._source.parsed:
            return await self.dispatch(exchange, self._source)
        head = exchange.request.head
        assert head is not None
        exchange.request = exchange.request.with_head(head_like(request, head))
        return await self.dispatch(exchange, RequestSource.of(request))

    async def dispatch(self, exchange: Exchange, source: RequestSource) -> RelayedAnswer:
        """Plan the request of the exchange, and return the answer of the attempt that is committed.

        Raises ``ApiError`` if every endpoint failed.
        """
        return self.relay(exchange, await self.attempt(exchange, source))

    def attempt(self, exchange: Exchange, source: RequestSource) -> Coroutine[Any, Any, CommittedAttempt]:
        """Plan the request, and return what awaits the attempt that is committed.

        Both the call and what it returns raise ``ApiError``: where no endpoint can serve it, and if every one failed.
        """
        if self._taken:
            self._next_step(exchange)
        self._taken = True
        dispatcher = self._services.dispatcher
        return dispatcher.dispatch(exchange, source, decisions_of(self._services, exchange))

    def relay(self, exchange: Exchange, committed: CommittedAttempt) -> RelayedAnswer:
        """Return the answer of ``committed``."""
        exchange.outcome.dropped_parameters = committed.dropped
        return RelayedAnswer(exchange, committed)

    def _next_step(self, exchange: Exchange) -> None:
        """Report the calls of the step before, and begin another."""
        self._services.outcomes.settle(exchange)
        route, outcome = exchange.route, exchange.outcome
        route.earlier_steps = (*route.earlier_steps, route.step)
        route.step = RouteStep(len(route.earlier_steps))
        outcome.complete = False
        outcome.error_type = outcome.finish_reason = outcome.native_finish_reason = None
