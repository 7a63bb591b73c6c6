"""Record in the table of conversations which endpoints served them."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from data.record.attempt import AttemptOutcome
from router_service.affinity.conversation import asks_for_hour_cache
from router_service.affinity.sticky import StickyTable
from router_service.core.exchange import Exchange


class AffinityListener:
    """Update ``sticky`` from the outcomes of calls; ``endpoints`` are those of this installation by model."""

    def __init__(self, sticky: StickyTable, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> None:
        self._sticky = sticky
        self.adopt(endpoints)

    def adopt(self, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> None:
        """Replace the endpoints of this installation."""
        self._endpoints = {endpoint.id: endpoint for offers in endpoints.values() for endpoint in offers}

    def report(self, outcome: AttemptOutcome, exchange: Exchange) -> None:
        """Record the endpoint of a served response; any other outcome leaves the table unchanged."""
        route, request_outcome = exchange.route, exchange.outcome
        conversation = route.conversation
        if conversation is None or outcome.ended != "answered":
            return
        if request_outcome.status != 200 or request_outcome.error_type is not None:
            return
        head, usage = exchange.request.head, route.step.usage
        endpoint = self._endpoints.get(outcome.endpoint)
        if usage is None or head is None or endpoint is None:
            return
        reasoned = bool(usage.reasoning_tokens) or "reasoning" in head.fields or "reasoning_effort" in head.fields
        pending = outcome.finish_reason == "tool_calls" or reasoned
        # A provider that does not charge for cache writes does not offer a choice of lifetime.
        hour = endpoint.price is not None and endpoint.price.cache_write is not None and asks_for_hour_cache(head)
        self._sticky.remember(conversation, endpoint, usage, pending=pending, hour=hour)
