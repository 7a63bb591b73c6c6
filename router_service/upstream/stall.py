"""End a stream that has begun and then hangs, or lasts beyond its request's time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from router_service.core.errors import ApiError
from router_service.upstream.transport import DeadlineMissed


def stall_error(stall_s: float) -> DeadlineMissed:
    """Return the error for a stream that has sent nothing for too long."""
    return DeadlineMissed(f"The provider's stream sent nothing for {stall_s:g} s")


class StallWatch:
    """Call ``abort`` once, with the reason, when a stream hangs for ``stall_s`` or when ``remaining_s`` are over.

    One timer serves the whole stream, so a chunk costs two clock readings. ``waiting_since`` is when the wait for the
    next chunk began (``time.perf_counter``), and ``None`` while nobody waits: a client that reads slowly is no stall.
    """

    __slots__ = ("_abort", "_deadline", "_expiry_error", "_loop", "_stall_s", "_timer", "waiting_since")

    def __init__(
        self,
        abort: Callable[[ApiError], None],
        stall_s: float,
        remaining_s: float,
        expiry_error: Callable[[], ApiError],
    ) -> None:
        self._abort = abort
        self._stall_s = stall_s
        self._deadline = time.perf_counter() + remaining_s
        self._expiry_error = expiry_error
        self._loop = asyncio.get_running_loop()
        self.waiting_since: float | None = None
        self._timer = self._loop.call_later(min(stall_s, remaining_s), self._check)

    def stop(self) -> None:
        """Cancel the timer."""
        self._timer.cancel()

    def _check(self) -> None:
        now = time.perf_counter()
        since = now if self.waiting_since is None else self.waiting_since
        if now >= self._deadline:
            self._abort(self._expiry_error())
        elif now >= since + self._stall_s:
            self._abort(stall_error(self._stall_s))
        else:
            # A timer may fire a little early: the minimum prevents a busy loop.
            delay = min(since + self._stall_s, self._deadline) - now
            self._timer = self._loop.call_later(max(delay, 0.001), self._check)
