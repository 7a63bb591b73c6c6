"""Measure percentiles of latency and throughput over the last 5 and 30 minutes, from logarithmic histograms."""

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
_MAX_COUNT = 2**16 - 1

SpeedWindow = Literal["5m", "30m"]
# The first slots hold the last five minutes, the running one included; the others hold the last five spans of five
# minutes that are over. The running span has no slot, since it is the first of the minutes.
_MINUTES = 5
_SLOTS = 10
# An array made from bytes takes more memory than it needs; a copy of it does not.
_NONE = array("H", bytes(2 * BUCKETS * _SLOTS))
# Minutes after which a value has left every window.
_MAX_AGE = 30


class MeasuredPercentiles(NamedTuple):
    """Hold percentiles in seconds of latency or in tokens a second.

    90 % of requests did no worse than ``p90``: for throughput it is below ``p50``, as in the example that the
    reference gives of its endpoint statistics.
    """

    p50: float
    p75: float
    p90: float
    p99: float


@lru_cache
def _log_position(smallest: float) -> float:
    """Return the logarithm of ``smallest``, as one object for all histograms that begin there."""
    return math.log(smallest) * _PER_LOG


class Histogram:
    """Count positive values in ``BUCKETS`` buckets for each slot of time. Seconds are those of ``OutcomeWindows``.

    Bucket b holds values from ``smallest``·BASE^b up to ``smallest``·BASE^(b+1), and the end buckets hold all beyond:
    5 ms reaches to 126 s, 0.1 tokens a second to 2,530.
    """

    __slots__ = ("_counts", "_first", "_minute", "_start", "_until")

    def __init__(self, smallest: float, second: int) -> None:
        self._counts = array("H", _NONE)
        self._first = _log_position(smallest)
        self._begin_minute(second // 60)

    def add(self, value: float, second: int) -> None:
        """Count ``value``, which is above 0."""
        if second >= self._until:
            self._advance(second)
        position = math.log(value) * _PER_LOG - self._first
        bucket = 0 if position < 0 else BUCKETS - 1 if position >= BUCKETS else int(position)
        counts, at = self._counts, self._start + bucket
        if counts[at] < _MAX_COUNT:
            counts[at] += 1
        else:
            self._halve()
            counts[at] += 1

    def percentiles(
        self, window: SpeedWindow, second: int, min_count: int = 1, *, highest_first: bool = False
    ) -> MeasuredPercentiles | None:
        """Return percentiles 50, 75, 90 and 99, or ``None`` below ``min_count`` values.

        With ``highest_first`` they count down from the highest value, as is usual for throughput.
        """
        found = self.quantiles(window, second, (50, 75, 90, 99), min_count, highest_first=highest_first)
        return MeasuredPercentiles(*found) if found else None

    def quantiles(
        self,
        window: SpeedWindow,
        second: int,
        percents: Sequence[int],
        min_count: int = 1,
        *,
        highest_first: bool = False,
    ) -> list[float] | None:
        """Return for each of ``percents`` the value that this share of the values does not exceed.

        With ``highest_first`` it is the value below which this share does not fall. Below ``min_count`` values it
        returns ``None``.
        """
        if second >= self._until:
            self._advance(second)
        rows = np.frombuffer(self._counts, np.uint16).reshape(_SLOTS, BUCKETS)
        counts = rows[:_MINUTES].sum(axis=0, dtype=np.int64)
        if window == "30m":
            # Minutes behind the running one belong to the span before it, which has a slot of its own.
            counts = rows[: self._minute % _MINUTES + 1].sum(axis=0, dtype=np.int64)
            counts += rows[_MINUTES:].sum(axis=0, dtype=np.int64)
        cumulative = np.cumsum(counts[::-1] if highest_first else counts)
        total = int(cumulative[-1])
        if total < min_count:
            return None
        ranks = [max(1, math.ceil(percent * total / 100)) for percent in percents]
        found = np.searchsorted(cumulative, ranks)
        if highest_first:
            found = BUCKETS - 1 - found
        return [float(BASE ** (self._first + bucket + 0.5)) for bucket in found.tolist()]

    def _halve(self) -> None:
        """Halve every bucket of the minute when 16 bits are full: its percentiles stay the same."""
        start = self._start
        self._counts[start : start + BUCKETS] = array("H", (n >> 1 for n in self._counts[start : start + BUCKETS]))

    def _advance(self, second: int) -> None:
        minute = second // 60
        for begins in range(self._minute + 1, self._minute + 1 + min(minute - self._minute, _MAX_AGE)):
            if begins % _MINUTES == 0:
                self._close_span(begins // _MINUTES - 1)
            at = begins % _MINUTES * BUCKETS
            self._counts[at : at + BUCKETS] = _EMPTY
        self._begin_minute(minute)

    def _close_span(self, span: int) -> None:
        minutes = np.frombuffer(self._counts, np.uint16).reshape(_SLOTS, BUCKETS)[:_MINUTES]
        total = minutes.sum(axis=0, dtype=np.int64)
        while total.max() > _MAX_COUNT:
            total >>= 1
        at = (_MINUTES + span % (_SLOTS - _MINUTES)) * BUCKETS
        self._counts[at : at + BUCKETS] = array("H", total.astype(np.uint16).tobytes())

    def _begin_minute(self, minute: int) -> None:
        self._minute = minute
        self._until = (minute + 1) * 60
        self._start = minute % _MINUTES * BUCKETS
