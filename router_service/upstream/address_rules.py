"""Decide which addresses the fetcher may connect to: public ones, and those that the operator allows."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

# Return the addresses of a host, or raise ``OSError``.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SCHEME_PORTS = {"http": 80, "https": 443}
MAX_URL_CHARACTERS = 4096
# IPv6 forms that contain an IPv4 address: mapped, compatible, translated, NAT64, 6to4 and Teredo.
# Source: IANA IPv6 Special-Purpose Address Registry (2026-11).
_EMBEDDING = tuple(
    ipaddress.ip_network(text)
    for text in (
        "::ffff:0:0/96",
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    )
)
# Blocks of special purpose that some versions of Python take for public; one has the metadata of a cloud.
# Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (2026-11).
_SPECIAL = tuple(ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20"))
# A public address of Azure that serves the metadata of the machine, and only from within.
_METADATA = ipaddress.ip_address("168.63.129.16")


class FetchRules(NamedTuple):
    """Hold what the operator allows.

    ``hosts`` are names, in lower case, whose addresses are not judged; ``networks`` are allowed though they are not
    public; ``ports`` are the only ones that are connected to. ``max_bytes`` bounds the media of one request together,
    ``max_media`` their number, and ``timeout_s`` the time for each of them, redirects included.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset(SCHEME_PORTS.values())
    max_bytes: int = 20 * 1024 * 1024
    max_media: int = 10
    timeout_s: float = 10.0


class FetchTarget(NamedTuple):
    """Hold the parts of a URL that passed; ``path`` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url_host(self) -> str:
        """Return the host as URLs and the ``Host`` header have it: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


class FetchedBody(NamedTuple):
    """Hold a response with status 200: headers by names in lower case, and its body."""

    headers: dict[str, str]
    content: bytes


class FetchFailed(Exception):
    """Report that a medium was not fetched; the message completes the sentence ``… cannot be fetched: ``."""


class ForbiddenUrl(FetchFailed):
    """Report that a URL may not be fetched at all."""


def make_rules(hosts: Iterable[str], networks: Iterable[str], ports: Iterable[int]) -> FetchRules:
    """Return rules with default limits. Raises ``ValueError`` for what is no network."""
    return FetchRules(
        frozenset(host.lower().rstrip(".") for host in hosts),
        tuple(ipaddress.ip_network(network) for network in networks),
        frozenset(ports),
    )


def read_target(url: str, rules: FetchRules) -> FetchTarget:
    """Return the parts of ``url``. Raises ``ForbiddenUrl`` for a scheme, a port or a form of host that is refused."""
    if len(url) > MAX_URL_CHARACTERS:
        raise ForbiddenUrl(f"its address is longer than {MAX_URL_CHARACTERS:,} characters")
    if any(ord(one) <= 32 or ord(one) == 127 or one == "\\" for one in url):
        raise ForbiddenUrl("its address has blanks, control characters or backslashes; encode them")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        raise ForbiddenUrl("its address is malformed") from None
    if parts.scheme not in SCHEME_PORTS:
        raise ForbiddenUrl("its address must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenUrl("its address contains a user name or a password; leave them out")
    port = SCHEME_PORTS[parts.scheme] if port is None else port
    if port not in rules.ports:
        allowed = ", ".join(map(str, sorted(rules.ports)))
        raise ForbiddenUrl(f"its address names port {port}; the router fetches from {allowed} alone")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    if not path.isascii():
        raise ForbiddenUrl("its address has characters that are not ASCII; encode them")
    return FetchTarget(parts.scheme, _checked_host(host), port, path)


def check_address(address: str, host: str, rules: FetchRules) -> IpAddress:
    """Return the address that ``host`` was resolved to. Raises ``ForbiddenUrl`` if no connection may be made to it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise ForbiddenUrl("its host has no usable address") from None
    if host in rules.hosts or any(found in network for network in rules.networks if network.version == found.version):
        return found
    if (kind := _kind(found)) is not None:
        raise ForbiddenUrl(f"its host is at {kind} address, which the router does not fetch from")
    return found


def _kind(found: IpAddress) -> str | None:
    """Return the kind of an address that is not public, with its article; ``None`` for a public one."""
    if found.version == 6 and found not in (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1")):
        if any(found in network for network in _EMBEDDING):
            return "an IPv6 form of an IPv4"
        if found.is_site_local:
            return "a private"
    for is_kind, name in (
        (found.is_unspecified, "an unspecified"),
        (found.is_loopback, "a loopback"),
        (found.is_link_local, "a link-local"),
        (found.is_multicast, "a multicast"),
        (found == _METADATA, "a cloud's internal"),
        (found.is_private, "a private"),
        (found.is_reserved or not found.is_global or any(found in block for block in _SPECIAL), "a reserved"),
    ):
        if is_kind:
            return name
    return None


def _checked_host(host: str) -> str:
    """Return ``host`` in lower case and ASCII. Raises ``ForbiddenUrl`` for addresses in unusual forms."""
    if not host:
        raise ForbiddenUrl("its address names no host")
    if len(host) > 253:
        raise ForbiddenUrl("its host is longer than 253 characters")
    if "%" in host:
        raise ForbiddenUrl("its host names a zone of this machine")
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ForbiddenUrl("its host is no valid address") from None
    try:
        name = host.encode("idna").decode().lower().rstrip(".")
    except UnicodeError:
        raise ForbiddenUrl("its host is no valid name") from None
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        pass
    try:
        # Resolvers read numbers such as 2130706433, 0x7f.1 and 0177.0.0.1 as addresses.
        socket.inet_aton(name)
    except OSError:
        return name
    raise ForbiddenUrl("its host is an address in an unusual form; write four decimal numbers")
