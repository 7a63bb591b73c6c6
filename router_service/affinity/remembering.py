"""From an exchange that has ended to the table of conversations."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.affinity.conversation import asks_for_hour_cache
from router_service.affinity.sticky import StickyTable
from router_service.core.exchange import Exchange


class Remembering:
    """Feeds ``sticky`` with successes; ``endpoints`` are those that this installation can reach, by model."""

    def __init__(self, sticky: StickyTable, endpoints: Mapping[str, tuple[Endpoint, ...]]) -> None:
        self._sticky = sticky
        self._endpoints = {endpoint.id: endpoint for offers in endpoints.values() for endpoint in offers}

    def settle(self, exchange: Exchange) -> None:
        """Remember who served, if anyone did to the end; an error leaves the table as it was."""
        affinity, usage, head = exchange.conversation, exchange.usage, exchange.head
        served = exchange.status == 200 and exchange.error_type is None and not exchange.cancelled
        endpoint = self._endpoints.get(exchange.endpoint or "")
        if not served or affinity is None or usage is None or head is None or endpoint is None:
            return
        reasoned = bool(usage.reasoning_tokens) or "reasoning" in head.fields or "reasoning_effort" in head.fields
        pending = exchange.finish_reason == "tool_calls" or reasoned
        # Where nothing is charged for writing, no lifetime can be asked for.
        hour = endpoint.price is not None and endpoint.price.cache_write is not None and asks_for_hour_cache(head)
        self._sticky.remember(affinity, endpoint, usage, pending=pending, hour=hour)
