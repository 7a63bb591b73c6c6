"""Define the HTTP request to a provider. An adapter builds it and a transport sends it."""

from __future__ import annotations

import msgspec


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """Hold address, headers and body; ``dropped`` names the parameters that the wire format cannot express."""

    url: str
    headers: dict[str, str]
    body: bytes
    dropped: tuple[str, ...] = ()
