"""Define the HTTP request to a provider. An adapter builds it and a transport sends it."""

from __future__ import annotations

import msgspec


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """Hold address, headers and body."""

    url: str
    headers: dict[str, str]
    body: bytes
