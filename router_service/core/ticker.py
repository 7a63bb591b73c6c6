"""Let many objects look at the clock by one timer of the event loop.

A timer for each would take 0.6 kB, and a stream needs two: for its keep-alives and for a provider that hangs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Protocol

logger = logging.getLogger(__name__)
# What is due is done so much late at most, while the event loop is not blocked.
INTERVAL_S = 0.1
_of_thread = threading.local()


class Ticked(Protocol):
    """Do what is due."""

    def tick(self) -> None:
        """Look at the clock. It is called every ``INTERVAL_S`` and must not block."""


class Ticker:
    """Call ``tick`` of each object that was added until it is removed. ``now`` is the clock of the event loop, in s."""

    __slots__ = ("_timer", "_watched", "loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self._watched: set[Ticked] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Ticked) -> None:
        """Call ``watched`` from now on."""
        self._watched.add(watched)
        if self._timer is None:
            self._timer = self.loop.call_later(INTERVAL_S, self._tick)

    def remove(self, watched: Ticked) -> None:
        """Call ``watched`` no longer."""
        self._watched.discard(watched)

    def _tick(self) -> None:
        if not self._watched:
            self._timer = None
            return
        self._timer = self.loop.call_later(INTERVAL_S, self._tick)
        for watched in tuple(self._watched):
            # An earlier one may have removed it.
            if watched in self._watched:
                try:
                    watched.tick()
                except Exception:
                    logger.exception("what was due could not be done")


def running_ticker() -> Ticker:
    """Return the ticker of the running event loop."""
    loop = asyncio.get_running_loop()
    found: Ticker | None = getattr(_of_thread, "ticker", None)
    if found is None or found.loop is not loop:
        found = _of_thread.ticker = Ticker(loop)
    return found
