"""The end of a stream that has begun and then falls silent, or lasts beyond its request's time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from router_service.core.errors import ApiError
from router_service.upstream.transport import DeadlineMissed


def stalled(stall_s: float) -> DeadlineMissed:
    """The stream has been silent for too long."""
    return DeadlineMissed(f"The provider's stream was silent for {stall_s:g} s")


class StallWatch:
    """Calls ``cut`` once, with the reason. One timer for the whole stream: a piece costs two clock readings.

    ``waiting_since`` is when the wait for the next piece began (``time.perf_counter``), ``None`` while nobody
    waits: a client that reads slowly is no stall.
    """

    def __init__(self, cut: Callable[[ApiError], None], stall_s: float, left_s: float, expired: ApiError) -> None:
        self._cut = cut
        self._stall_s = stall_s
        self._ends = time.perf_counter() + left_s
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self.waiting_since: float | None = None
        self._timer = self._loop.call_later(min(stall_s, left_s), self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = time.perf_counter()
        since = now if self.waiting_since is None else self.waiting_since
        if now >= self._ends:
            self._cut(self._expired)
        elif now >= since + self._stall_s:
            self._cut(stalled(self._stall_s))
        else:
            # A timer may come a little early: the same moment again, never a busy loop.
            wait = min(since + self._stall_s, self._ends) - now
            self._timer = self._loop.call_later(max(wait, 0.001), self._look)
