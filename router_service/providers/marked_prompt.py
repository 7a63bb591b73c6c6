"""Define the beginning of a prompt that a client has marked to be cached, where a provider caches it under a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from router_service.core.http_request import HttpRequest


class NamedCache(msgspec.Struct, frozen=True):
    """Hold the name that the provider has given to a cache, and the tokens that it counts in it."""

    name: str
    tokens: int


class MarkedPrefix(Protocol):
    """Describe one beginning of a prompt.

    ``digest`` tells it from every other one at the same address and for the same model. ``tokens`` are estimated.
    """

    @property
    def digest(self) -> bytes: ...
    @property
    def tokens(self) -> int: ...
    @property
    def lifetime_s(self) -> int: ...

    def creation(self) -> HttpRequest:
        """Return the request that makes the cache, without credentials."""

    def created(self, body: bytes) -> NamedCache | None:
        """Return the cache that ``body``, the answer of the provider, describes, ``None`` if it describes none."""

    def rest(self, cache: NamedCache) -> bytes:
        """Return the body of the request with ``cache`` in place of this beginning."""


class MarkedPrompt(Protocol):
    """Tell where a request that was encoded is marked."""

    def prefixes(self) -> Sequence[MarkedPrefix]:
        """Return what may be cached, the longest first."""
