"""Select the HTTP client with which the router calls providers."""

from __future__ import annotations

from typing import Literal

from router_service.upstream.transport import Transport

ClientName = Literal["direct", "aiohttp"]


def open_client(name: ClientName, connect_timeout_s: float) -> Transport:
    """Return the client of that name. aiohttp is imported only if it is selected."""
    if name == "aiohttp":
        from router_service.upstream.aiohttp_client import AiohttpClient

        return AiohttpClient(connect_timeout_s)
    from router_service.upstream.direct import DirectClient

    return DirectClient(connect_timeout_s)
