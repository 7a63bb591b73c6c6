"""Hold everything that is known of one request while it is served. The log record is built from it."""

from __future__ import annotations

import msgspec

from router_service.core.caller import Caller
from router_service.core.outcome import Outcome
from router_service.core.request import Request
from router_service.core.route_trace import RouteTrace


class Exchange(msgspec.Struct):
    """Join what the packages learn of a request: what came, from whom, what routing did and what became of it.

    ``request`` and ``caller`` are frozen and replaced as more is known: the body is read after the headers, and a skin
    reads the head from it (``Request``). ``caller`` is ``None`` before the request is authenticated. ``route`` and
    ``outcome`` are filled in while the request is served.
    """

    request: Request
    caller: Caller | None = None
    route: RouteTrace = msgspec.field(default_factory=RouteTrace)
    outcome: Outcome = msgspec.field(default_factory=Outcome)
