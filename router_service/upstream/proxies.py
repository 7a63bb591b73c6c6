"""Read the standard variables for proxies, and decide which address is reached through which proxy.

``HTTPS_PROXY`` and ``HTTP_PROXY`` apply to addresses of that scheme, ``ALL_PROXY`` to both. Names in lower case take
precedence. ``NO_PROXY`` lists exceptions as curl reads them: a host or a domain with its subdomains, an address, a
network, each with a port if need be, or ``*`` for all. Loopback and private addresses are always exceptions.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

SCHEMES = ("http", "https", "socks5", "socks5h")


class ProxyRule(NamedTuple):
    """Name the proxy of a scheme. ``url`` may contain a password, ``shown`` does not."""

    variable: str
    url: str
    shown: str


class Proxies:
    """Hold the proxies by scheme of the address, and the exceptions."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Read ``variables``, by name in lower case without ``_proxy``, as ``getproxies_environment`` returns them.

        Raises ``ValueError`` for a proxy that cannot be used.
        """
        self._exceptions = [entry.strip().lower() for entry in variables.get("no", "").split(",") if entry.strip()]
        self._rules: dict[str, ProxyRule] = {}
        for scheme in ("https", "http"):
            name = scheme if variables.get(scheme) else "all"
            if url := variables.get(name):
                self._rules[scheme] = _rule(f"{name.upper()}_PROXY", url)

    @classmethod
    def from_environment(cls) -> Proxies:
        """Return the proxies of the process's environment. Raises ``ValueError``."""
        return cls(getproxies_environment())

    def rule_for(self, url: str) -> ProxyRule | None:
        """Return the proxy through which ``url`` is reached, or ``None`` for a direct connection."""
        rule = self._rules.get(urlsplit(url).scheme)
        return None if rule is None or self._is_exception(urlsplit(url)) else rule

    def first_rule(self, urls: Iterable[str]) -> ProxyRule | None:
        """Return a proxy that at least one of ``urls`` needs, or ``None``."""
        return next((rule for url in urls if (rule := self.rule_for(url)) is not None), None)

    def _is_exception(self, parts: SplitResult) -> bool:
        host = (parts.hostname or "").rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        address = _address(host)
        if address is not None and (address.is_private or address.is_loopback or address.is_link_local):
            return True
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return any(_matches(entry, host, address, port) for entry in self._exceptions)


def _rule(variable: str, url: str) -> ProxyRule:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in SCHEMES or not parts.hostname or port == -1:
        raise ValueError(f"{variable} must be an address such as http://host:3128 (http, https, socks5 or socks5h)")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return ProxyRule(variable, parts.geturl(), f"{parts.scheme}://{host}{f':{port}' if port else ''}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _matches(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    name, colon, wanted_port = entry.rpartition(":")
    if colon and wanted_port.isdigit() and (":" not in name or name.endswith("]")):
        if int(wanted_port) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
