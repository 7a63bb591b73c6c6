"""Select the HTTP client with which the router calls providers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES
from router_service.upstream.proxies import Proxies
from router_service.upstream.transport import Transport

logger = logging.getLogger(__name__)

ClientName = Literal["direct", "httpx2"]


def select_client(wanted: ClientName | None, urls: Iterable[str]) -> ClientName:
    """Return ``wanted``, or ``httpx2`` if one of ``urls`` is reached through a proxy, else ``direct``.

    A line in the log says when the proxy decides, and when it is ignored. Raises ``ValueError`` for a variable that
    names no usable proxy.
    """
    rule = Proxies.from_environment().first_rule(urls)
    if rule is None:
        return wanted or "direct"
    if wanted == "direct":
        logger.warning("%s is ignored, because PORTOLAN_UPSTREAM_CLIENT=direct uses no proxy", rule.variable)
        return wanted
    logger.warning("Providers are called with httpx2, because %s names the proxy %s", rule.variable, rule.shown)
    return "httpx2"


def open_client(
    name: ClientName, connect_timeout_s: float, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
) -> Transport:
    """Return the client of that name. httpx2 is imported only if it is selected."""
    if name == "httpx2":
        from router_service.upstream.httpx2_client import Httpx2Client

        return Httpx2Client(connect_timeout_s, max_event_bytes, Proxies.from_environment())
    from router_service.upstream.direct import DirectClient

    return DirectClient(connect_timeout_s, max_event_bytes)
