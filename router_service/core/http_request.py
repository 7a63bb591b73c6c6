"""Describe one HTTP request to a provider, made by an adapter and sent by a transport."""

from __future__ import annotations

from typing import NamedTuple


class HttpRequest(NamedTuple):
    """Hold address, headers and body; ``dropped`` names the parameters that the wire format cannot carry."""

    url: str
    headers: dict[str, str]
    body: bytes
    dropped: tuple[str, ...] = ()
