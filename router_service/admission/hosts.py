"""Regional hosts: every request that comes by one is kept to its region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

MOST_REMEMBERED = 1024


class Host(NamedTuple):
    name: str
    region: str


class RegionalHosts:
    """``regions`` by host name, without a port. A name may end in ``*``: ``eu.*`` is any that begins with ``eu.``.

    Of several that fit the exact one counts, else the longest.
    """

    def __init__(self, regions: Mapping[str, str]) -> None:
        rules = {name.lower(): region.lower() for name, region in regions.items()}
        self._exact = {name: region for name, region in rules.items() if not name.endswith("*")}
        prefixes = {name[:-1]: region for name, region in rules.items() if name.endswith("*")}
        self._prefixes = sorted(prefixes.items(), key=lambda rule: -len(rule[0]))
        self._known: dict[bytes, Host | None] = {}

    def find(self, headers: Mapping[bytes, bytes]) -> Host | None:
        """By the header ``Host``; ``None`` for a host without a region."""
        if not self._exact and not self._prefixes:
            return None
        header = headers.get(b"host", b"")
        if header not in self._known:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[header] = self._look_up(header)
        return self._known[header]

    def _look_up(self, header: bytes) -> Host | None:
        name = header.decode("latin-1").lower().strip()
        if not name.endswith("]"):
            host, colon, port = name.rpartition(":")
            name = host if colon and port.isdigit() else name
        name = name.rstrip(".")
        region = self._exact.get(name) or next(
            (found for start, found in self._prefixes if name.startswith(start)), None
        )
        return Host(name, region) if region else None
