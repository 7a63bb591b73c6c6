"""Restrict the requests to a regional host name to the data region of that host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from router_service.core.bounded_cache import BoundedCache

MAX_KNOWN = 1024
MAX_KNOWN_BYTES = 1024 * 1024


class RegionalHost(NamedTuple):
    name: str
    region: str


class RegionalHosts:
    """Map host names without a port to ``regions``. A name may end in ``*``: ``eu.*`` matches any prefix ``eu.``.

    If several names match, the exact one applies, otherwise the longest.
    """

    def __init__(self, regions: Mapping[str, str]) -> None:
        rules = {name.lower(): region.lower() for name, region in regions.items()}
        self._exact = {name: region for name, region in rules.items() if not name.endswith("*")}
        prefixes = {name[:-1]: region for name, region in rules.items() if name.endswith("*")}
        self._prefixes = sorted(prefixes.items(), key=lambda rule: -len(rule[0]))
        self._known: BoundedCache[bytes, tuple[RegionalHost | None]] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)

    def find(self, headers: Mapping[bytes, bytes]) -> RegionalHost | None:
        """Return the regional host of the ``Host`` header, or ``None`` for a host without a region."""
        if not self._exact and not self._prefixes:
            return None
        header = headers.get(b"host", b"")
        known = self._known.get(header)
        return (known or self._known.put(header, (self._look_up(header),)))[0]

    def _look_up(self, header: bytes) -> RegionalHost | None:
        name = header.decode("latin-1").lower().strip()
        if not name.endswith("]"):
            host, colon, port = name.rpartition(":")
            name = host if colon and port.isdigit() else name
        name = name.rstrip(".")
        region = self._exact.get(name) or next(
            (found for start, found in self._prefixes if name.startswith(start)), None
        )
        return RegionalHost(name, region) if region else None
