"""Define the HTTP request to a provider. An adapter builds it and a transport sends it."""

from __future__ import annotations

import msgspec


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """Hold address, headers and body."""

    url: str
    headers: dict[str, str]
    body: bytes


def request_url(base_url: str | None, path: str) -> str:
    """Return the URL of ``path`` below an address, whose own query, if it has one, stays at the end."""
    address, mark, query = (base_url or "").partition("?")
    return f"{address}{path}{mark}{query}"
