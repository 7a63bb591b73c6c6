"""Describe who sends a request, and what restricts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.preferences import Preferences


class Constraints(Protocol):
    """Restrict every request of a caller: the rules and defaults of the installation, the host and the key together.

    Instances are compared by identity. ``baseline`` are the preferences of a request that has none of its own,
    ``strategy`` is the one that the key names.
    """

    strategy: str | None
    baseline: Preferences

    def apply(self, preferences: Preferences) -> Preferences: ...
    def allows(self, endpoint: Endpoint) -> bool: ...
    def sentences(self) -> Iterator[str]: ...


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Hold what admission knows of the sender of a request by its key, headers and connection.

    ``country`` is ISO 3166-1 alpha-2 in upper case. The end user is named by the body, which is read afterwards: see
    ``Head.fields``.
    """

    key_hash: str
    constraints: Constraints
    client_region: str | None = None
    country: str | None = None
