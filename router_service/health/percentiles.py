"""MeasuredPercentiles of latency and throughput over the last 5 and 30 minutes, from logarithmic histograms."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from data.histogram import BASE as MART_BASE

# Four buckets of the marts make one here: a bucket's middle is then within 4.1 % of any value in it.
BASE = MART_BASE**4
BUCKETS = 128
_PER_LOG = 1 / math.log(BASE)
_EMPTY = array("H", bytes(2 * BUCKETS))
_MOST = 2**16 - 1

SpeedWindow = Literal["5m", "30m"]
# Slots: the last five minutes, the running one among them, then the last five spans of five minutes that are over.
# The running span is not kept: it is the first of the minutes.
_MINUTES = 5
_SLOTS = 10
# A copy has no more room than it needs; an array made of bytes has.
_NONE = array("H", bytes(2 * BUCKETS * _SLOTS))
# What is older has left every window.
_LONGEST = 30


class MeasuredPercentiles(NamedTuple):
    """Seconds of latency or tokens a second. ``p90`` is what 90 % of requests did no worse than: of throughput
    it is below ``p50``, as in the reference's example of its endpoint statistics.
    """

    p50: float
    p75: float
    p90: float
    p99: float


@lru_cache
def _position(smallest: float) -> float:
    """One object for all histograms that begin there."""
    return math.log(smallest) * _PER_LOG


class Histogram:
    """``BUCKETS`` buckets in each slot. Bucket b holds values from ``smallest``·BASE^b up to ``smallest``·BASE^(b+1),
    and the end buckets hold all beyond: 5 ms reaches to 126 s, 0.1 tokens a second to 2,530.
    """

    __slots__ = ("_counts", "_first", "_minute", "_start", "_until")

    def __init__(self, smallest: float, second: int) -> None:
        self._counts = array("H", _NONE)
        self._first = _position(smallest)
        self._place(second // 60)

    def add(self, value: float, second: int) -> None:
        """Count ``value``, which is above 0."""
        if second >= self._until:
            self._advance(second)
        position = math.log(value) * _PER_LOG - self._first
        bucket = 0 if position < 0 else BUCKETS - 1 if position >= BUCKETS else int(position)
        counts, at = self._counts, self._start + bucket
        if counts[at] < _MOST:
            counts[at] += 1
        else:
            self._halve()
            counts[at] += 1

    def percentiles(
        self, window: SpeedWindow, second: int, least: int = 1, *, highest_first: bool = False
    ) -> MeasuredPercentiles | None:
        """``None`` below ``least`` values. ``highest_first`` counts down from the best value, for throughput."""
        found = self.levels(window, second, (50, 75, 90, 99), least, highest_first=highest_first)
        return MeasuredPercentiles(*found) if found else None

    def levels(
        self, window: SpeedWindow, second: int, percents: Sequence[int], least: int = 1, *, highest_first: bool = False
    ) -> list[float] | None:
        """What each of ``percents`` of the values do not exceed, or with ``highest_first`` do not fall short of;
        ``None`` below ``least`` values."""
        if second >= self._until:
            self._advance(second)
        rows = np.frombuffer(self._counts, np.uint16).reshape(_SLOTS, BUCKETS)
        counts = rows[:_MINUTES].sum(axis=0, dtype=np.int64)
        if window == "30m":
            # Minutes behind the running one are those of the span before, which is kept as such.
            counts = rows[: self._minute % _MINUTES + 1].sum(axis=0, dtype=np.int64)
            counts += rows[_MINUTES:].sum(axis=0, dtype=np.int64)
        reached = np.cumsum(counts[::-1] if highest_first else counts)
        total = int(reached[-1])
        if total < least:
            return None
        wanted = [max(1, math.ceil(percent * total / 100)) for percent in percents]
        found = np.searchsorted(reached, wanted)
        if highest_first:
            found = BUCKETS - 1 - found
        return [float(BASE ** (self._first + bucket + 0.5)) for bucket in found.tolist()]

    def _halve(self) -> None:
        """16 bits are full: half of every bucket of the minute has the same percentiles."""
        start = self._start
        self._counts[start : start + BUCKETS] = array("H", (n >> 1 for n in self._counts[start : start + BUCKETS]))

    def _advance(self, second: int) -> None:
        minute = second // 60
        for begins in range(self._minute + 1, self._minute + 1 + min(minute - self._minute, _LONGEST)):
            if begins % _MINUTES == 0:
                self._keep_span(begins // _MINUTES - 1)
            at = begins % _MINUTES * BUCKETS
            self._counts[at : at + BUCKETS] = _EMPTY
        self._place(minute)

    def _keep_span(self, span: int) -> None:
        minutes = np.frombuffer(self._counts, np.uint16).reshape(_SLOTS, BUCKETS)[:_MINUTES]
        total = minutes.sum(axis=0, dtype=np.int64)
        while total.max() > _MOST:
            total >>= 1
        at = (_MINUTES + span % (_SLOTS - _MINUTES)) * BUCKETS
        self._counts[at : at + BUCKETS] = array("H", total.astype(np.uint16).tobytes())

    def _place(self, minute: int) -> None:
        self._minute = minute
        self._until = (minute + 1) * 60
        self._start = minute % _MINUTES * BUCKETS
