"""Limit how often something is done."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Allow ``burst`` uses at once and ``rate_per_s`` a second on average. ``clock`` returns seconds of any origin."""

    __slots__ = ("_burst", "_clock", "_rate_per_s", "_refilled_at", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._tokens = burst
        self._clock = clock
        self._refilled_at = clock()

    def take(self) -> bool:
        """Return whether another use is allowed now, and count it if so."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate_per_s * max(0.0, now - self._refilled_at))
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
