"""Define the limits of the HTTP requests that the server accepts."""

from __future__ import annotations

from typing import NamedTuple

# Under this key of the lifespan's state, the application passes its limits to the server's protocol.
STATE_KEY = "http_limits"


class HttpLimits(NamedTuple):
    """Bound a request's head in bytes and number of headers, and the seconds that a client may take.

    ``head_timeout_s`` is for the whole head, ``body_idle_timeout_s`` for the gap between two parts of a body.
    """

    head_bytes: int = 64 * 1024
    headers: int = 200
    head_timeout_s: float = 20.0
    body_idle_timeout_s: float = 30.0
