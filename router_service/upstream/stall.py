"""End a stream that has begun and then hangs, or lasts beyond its request's time."""

from __future__ import annotations

import time
from typing import Protocol

from router_service.core.errors import ApiError
from router_service.core.ticker import running_ticker
from router_service.upstream.transport import DeadlineMissed


def stall_error(stall_s: float) -> DeadlineMissed:
    """Return the error for a stream that has sent nothing for too long."""
    return DeadlineMissed(f"The provider's stream sent nothing for {stall_s:g} s")


class Abortable(Protocol):
    """Offer a stream that can be ended with an error."""

    def abort(self, error: ApiError) -> None: ...


class Expiring(Protocol):
    """Offer the error for a request whose time is over."""

    def expiry_error(self) -> ApiError: ...


class StallWatch:
    """Abort ``stream`` once, when it hangs for ``stall_s`` or when the ``remaining_s`` of its request are over.

    A chunk costs two clock readings. ``waiting_since`` is when the wait for the next chunk began
    (``time.perf_counter``), and ``None`` while nobody waits: a client that reads slowly is no stall.
    """

    __slots__ = ("_deadline", "_deadlines", "_stall_s", "_stream", "_ticker", "waiting_since")

    def __init__(
        self,
        stream: Abortable,
        stall_s: float,
        remaining_s: float,
        deadlines: Expiring,
    ) -> None:
        self._stream = stream
        self._stall_s = stall_s
        self._deadline = time.perf_counter() + remaining_s
        self._deadlines = deadlines
        self.waiting_since: float | None = None
        self._ticker = running_ticker()
        self._ticker.add(self)

    def stop(self) -> None:
        """Watch no longer."""
        self._ticker.remove(self)

    def tick(self) -> None:
        """Abort the stream if the time is over."""
        now, since = time.perf_counter(), self.waiting_since
        if now >= self._deadline:
            self.stop()
            self._stream.abort(self._deadlines.expiry_error())
        elif since is not None and now >= since + self._stall_s:
            self.stop()
            self._stream.abort(stall_error(self._stall_s))
