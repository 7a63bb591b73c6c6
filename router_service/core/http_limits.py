"""Define the limits of the HTTP requests that the server accepts."""

from __future__ import annotations

from typing import NamedTuple

# Under this key of the lifespan's state, the application passes its limits to the server's protocol.
STATE_KEY = "http_limits"


class HttpLimits(NamedTuple):
    """Bound a request's head in bytes and number of headers, and the seconds that a client may take.

    ``head_timeout_s`` is for the whole head, ``body_idle_timeout_s`` for the gap between two parts of a body, and
    ``write_idle_timeout_s`` for the time in which a client reads nothing of a response that waits for it. The last
    three bound one worker: its open connections, those of one address, and its unfinished requests; 0 for no limit.
    """

    head_bytes: int = 64 * 1024
    headers: int = 200
    head_timeout_s: float = 20.0
    body_idle_timeout_s: float = 30.0
    write_idle_timeout_s: float = 60.0
    connections: int = 8192
    connections_per_address: int = 2048
    requests: int = 4096
