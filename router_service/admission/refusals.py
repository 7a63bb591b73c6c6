"""Bound how many requests without a known key are recorded: they cost their sender nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from router_service.core.token_bucket import TokenBucket

RECORDED_PER_S = 10.0
RECORDED_BURST = 100.0


class KeyRefusals:
    """Decide which of the requests that were refused for their key are recorded; ``unrecorded`` counts the others."""

    __slots__ = ("_records", "unrecorded")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._records = TokenBucket(RECORDED_PER_S, RECORDED_BURST, clock)
        self.unrecorded = 0

    def is_recorded(self) -> bool:
        """Return whether this refusal is recorded, and count it if it is not."""
        recorded = self._records.take()
        self.unrecorded += not recorded
        return recorded
