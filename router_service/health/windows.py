"""Count outcomes over the last 30 s, 5 min, 30 min and day, in constant memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal, NamedTuple

SUCCESS, FAILURE, RATE_LIMITED, UNCOUNTED = range(4)
KINDS = 4

WindowName = Literal["30s", "5m", "30m", "1d"]


class Ring(NamedTuple):
    """Locate a window in the array: ``slots`` of ``width`` seconds from ``base``, ``KINDS`` counters each.

    Their sums are at ``total``.
    """

    base: int
    total: int
    width: int
    slots: int


# Each width divides the next, so if a ring has not advanced then no coarser one has.
RINGS: dict[WindowName, Ring] = {
    "30s": Ring(0, 456, 1, 30),
    "5m": Ring(120, 460, 10, 30),
    "30m": Ring(240, 464, 60, 30),
    "1d": Ring(360, 468, 3600, 24),
}
# Behind the rings and their sums: counts that the other workers have not received yet.
_UNSENT = 472
_EMPTY = array("i", bytes(4 * (_UNSENT + KINDS)))


class OutcomeCounts(NamedTuple):
    """Count requests by outcome. ``uncounted`` are a client's own errors, which say nothing about the endpoint."""

    success: int
    failure: int
    rate_limited: int
    uncounted: int

    @property
    def attempts(self) -> int:
        """Return the denominator of uptime: 429s and a client's own errors are left out."""
        return self.success + self.failure

    @property
    def accepted(self) -> int:
        """Return the requests that the endpoint had the capacity for: all but 429s."""
        return self.success + self.failure + self.uncounted


class OutcomeWindows:
    """Count the outcomes of one endpoint in rings of slots.

    A window reaches back its length less at most one slot, and the running slot is in it. Seconds are whole seconds of
    a monotonic clock, never negative.
    """

    __slots__ = ("_counts", "_second")

    def __init__(self, second: int) -> None:
        self._counts = array("i", _EMPTY)
        self._second = second

    def add(self, kind: int, second: int, count: int = 1) -> None:
        """Count ``count`` requests that ended now with outcome ``kind``."""
        if second > self._second:
            self._advance(second)
        # RINGS written out: a loop here would double the cost of every request's update.
        counts = self._counts
        counts[second % 30 * KINDS + kind] += count
        counts[120 + second // 10 % 30 * KINDS + kind] += count
        counts[240 + second // 60 % 30 * KINDS + kind] += count
        counts[360 + second // 3600 % 24 * KINDS + kind] += count
        counts[456 + kind] += count
        counts[460 + kind] += count
        counts[464 + kind] += count
        counts[468 + kind] += count
        counts[472 + kind] += count

    def drain_unsent(self) -> OutcomeCounts:
        """Return what ``add`` has counted since the last call, for the other workers."""
        unsent = OutcomeCounts._make(self._counts[_UNSENT:])
        self._counts[_UNSENT:] = _EMPTY[:KINDS]
        return unsent

    def merge(self, added: Sequence[int], second: int, now: int) -> None:
        """Count what another worker observed at ``second``; rings that no longer reach back so far leave it out."""
        if now > self._second:
            self._advance(now)
        counts = self._counts
        for base, total, width, slots in RINGS.values():
            slot = second // width
            if 0 <= self._second // width - slot < slots:
                at = base + slot % slots * KINDS
                for kind, count in enumerate(added):
                    if count:
                        counts[at + kind] += count
                        counts[total + kind] += count

    def totals(self, window: WindowName, second: int) -> OutcomeCounts:
        """Return the counts of the window that ends now."""
        if second > self._second:
            self._advance(second)
        total = RINGS[window].total
        return OutcomeCounts._make(self._counts[total : total + KINDS])

    def _advance(self, second: int) -> None:
        before, self._second = self._second, second
        for ring in RINGS.values():
            old, new = before // ring.width, second // ring.width
            if new == old:
                break
            self._clear(ring, old + 1, min(new - old, ring.slots))

    def _clear(self, ring: Ring, first: int, count: int) -> None:
        counts, (base, total, _, slots) = self._counts, ring
        start = first % slots
        up_to_end = min(count, slots - start)
        for slot, length in ((start, up_to_end), (0, count - up_to_end)):
            if length:
                at, end = base + slot * KINDS, base + (slot + length) * KINDS
                for kind in range(KINDS):
                    counts[total + kind] -= sum(counts[at + kind : end : KINDS])
                counts[at:end] = _EMPTY[: end - at]
