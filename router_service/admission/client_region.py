"""Determine the coarse region of a client by a header, else by its key, else by its address.

The region is a hint for latency and never for data residency, since any client can send the header.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from data.catalogue.geography import continent_of, continents
from router_service.core.bounded_cache import BoundedCache

MAX_KNOWN = 4096
MAX_KNOWN_BYTES = 1024 * 1024
Network = IPv4Network | IPv6Network


def read_network(text: str) -> Network | None:
    """Parse an address or a network in CIDR notation; return ``None`` for any other text."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class ClientRegions:
    """Map networks (``10.1.0.0/16``) and values of ``header`` (``de``) to ``regions``.

    A header value is looked up in ``regions``, then as the name of a continent or region, then as the ISO 3166-1 code
    of a country, which gives its continent; any other value is ignored. The address is that of the connection or,
    behind ``proxies`` trusted proxies, the entry that many places from the end of ``X-Forwarded-For``.
    """

    def __init__(self, header: str, regions: Mapping[str, str], proxies: int = 0) -> None:
        self._header = header.lower().encode("latin-1")
        self._proxies = proxies
        networks = [(network, region) for text, region in regions.items() if (network := read_network(text))]
        self._networks = sorted(networks, key=lambda row: -row[0].prefixlen)
        self._words = {word.lower(): region for word, region in regions.items() if read_network(word) is None}
        self._names = continents() | set(regions.values())
        self._of_words: BoundedCache[bytes, tuple[str | None]] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)
        self._countries: BoundedCache[bytes, tuple[str | None]] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)
        self._of_addresses: BoundedCache[str, tuple[str | None]] = BoundedCache(MAX_KNOWN, MAX_KNOWN_BYTES)

    def find(self, headers: Mapping[bytes, bytes], peer: str | None, usual: str | None) -> str | None:
        """Return the client's region; ``peer`` is the address of the connection, ``usual`` the key's region."""
        word = headers.get(self._header)
        found = None if word is None else self._of_word(word)
        if found is None:
            found = usual
        if found is None and self._networks:
            found = self._of_address(self._address(headers, peer))
        return found

    def country(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the country that the header names, as ISO 3166-1 alpha-2 in upper case; ``None`` for other words."""
        word = headers.get(self._header)
        if word is None:
            return None
        known = self._countries.get(word)
        if known is None:
            code = word.decode("latin-1").strip().lower()
            known = self._countries.put(word, (code.upper() if continent_of(code) else None,))
        return known[0]

    def _of_word(self, word: bytes) -> str | None:
        known = self._of_words.get(word)
        if known is None:
            name = word.decode("latin-1").strip().lower()
            region = self._words.get(name) or (name if name in self._names else continent_of(name))
            known = self._of_words.put(word, (region,))
        return known[0]

    def _address(self, headers: Mapping[bytes, bytes], peer: str | None) -> str:
        if not self._proxies:
            return peer or ""
        chain = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        # Each proxy appends the address of its peer. A shorter chain did not pass through all of them.
        return chain[-self._proxies].strip() if len(chain) >= self._proxies else ""

    def _of_address(self, address: str) -> str | None:
        known = self._of_addresses.get(address)
        return (known or self._of_addresses.put(address, (self._look_up(address),)))[0]

    def _look_up(self, text: str) -> str | None:
        try:
            address = ip_address(text)
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return next((region for network, region in self._networks if address in network), None)
