"""Where a client is, coarsely: by a header, else by its key, else by its address.

A hint for speed and never for residency: anyone may send the header.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from data.catalogue.geography import continent_of, continents
from router_service.core.bounded_cache import BoundedCache

MOST_KNOWN = 4096
MOST_KNOWN_BYTES = 1024 * 1024
Network = IPv4Network | IPv6Network


def read_network(text: str) -> Network | None:
    """``None`` for what is no address and no network in CIDR notation."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class ClientRegions:
    """``regions`` by network (``10.1.0.0/16``) or by word of ``header`` (``de``).

    A word means what ``regions`` says, else the continent or region of that name, else the continent of the country
    with that ISO 3166-1 code; any other is ignored. Addresses are the connection's, or behind ``proxies`` trusted
    proxies the one that many places from the end of ``X-Forwarded-For``.
    """

    def __init__(self, header: str, regions: Mapping[str, str], proxies: int = 0) -> None:
        self._header = header.lower().encode("latin-1")
        self._proxies = proxies
        networks = [(network, region) for text, region in regions.items() if (network := read_network(text))]
        self._networks = sorted(networks, key=lambda row: -row[0].prefixlen)
        self._words = {word.lower(): region for word, region in regions.items() if read_network(word) is None}
        self._names = continents() | set(regions.values())
        self._of_words: BoundedCache[bytes, tuple[str | None]] = BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES)
        self._countries: BoundedCache[bytes, tuple[str | None]] = BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES)
        self._of_addresses: BoundedCache[str, tuple[str | None]] = BoundedCache(MOST_KNOWN, MOST_KNOWN_BYTES)

    def find(self, headers: Mapping[bytes, bytes], peer: str | None, usual: str | None) -> str | None:
        """``peer`` is the address of the connection, ``usual`` the key's region."""
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
        # Each proxy appends whom it saw. A shorter chain did not come by all of them.
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
