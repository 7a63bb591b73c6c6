"""Which client the router calls providers with."""

from __future__ import annotations

from typing import Literal

from router_service.upstream.transport import Transport

ClientName = Literal["direct", "aiohttp"]


def open_client(name: ClientName, connect_timeout: float) -> Transport:
    """``connect_timeout`` in seconds. aiohttp is imported only where it is wanted."""
    if name == "aiohttp":
        from router_service.upstream.aiohttp_client import AiohttpClient

        return AiohttpClient(connect_timeout)
    from router_service.upstream.direct import DirectClient

    return DirectClient(connect_timeout)
