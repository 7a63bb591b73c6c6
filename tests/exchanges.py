"""Build exchanges for tests of what happens to a request, without a client."""

from __future__ import annotations

from router_service.api.parse_head import parse_head
from router_service.core.exchange import Exchange
from router_service.core.request import receive_request


def exchange_of(body: bytes = b"") -> Exchange:
    """Return the exchange of a request that has just arrived, whose ``body`` is read and not parsed yet."""
    return Exchange(receive_request("chat", {}).with_body(body))


def parsed_exchange(body: bytes) -> Exchange:
    """Return the exchange of a chat request whose head is known."""
    exchange = exchange_of(body)
    exchange.request = exchange.request.with_head(parse_head(body))
    return exchange
