"""Percentiles of latency and throughput over the last 5 and 30 minutes, from logarithmic histograms."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from data.histogram import BASE as MART_BASE

# Four buckets of the marts make one here: a bucket's middle is then within 4.1 % of any value in it.
BASE = MART_BASE**4
BUCKETS = 128
_PER_LOG = 1 / math.log(BASE)
_EMPTY = array("H", bytes(2 * BUCKETS))

SpeedWindow = Literal["5m", "30m"]
# (first slot, seconds of a slot, slots): the running slot is part of a window.
_MINUTES = (0, 60, 5)
_FIVES = (5, 300, 6)
_WINDOWS: dict[SpeedWindow, tuple[int, int, int]] = {"5m": _MINUTES, "30m": _FIVES}


class Percentiles(NamedTuple):
    """Seconds of latency or tokens a second. ``p90`` is what 90 % of requests did no worse than: of throughput
    it is below ``p50``, as in the reference's example of its endpoint statistics.
    """

    p50: float
    p75: float
    p90: float
    p99: float


class Histogram:
    """``BUCKETS`` buckets in each slot. Bucket b holds values from ``smallest``·BASE^b up to ``smallest``·BASE^(b+1),
    and the end buckets hold all beyond: 5 ms reaches to 126 s, 0.1 tokens a second to 2,530.
    """

    __slots__ = ("_counts", "_first", "_five", "_minute", "_second", "_until")

    def __init__(self, smallest: float, second: int) -> None:
        self._counts = array("H", bytes(2 * BUCKETS * 11))
        self._first = math.log(smallest) * _PER_LOG
        self._place(second)

    def add(self, value: float, second: int) -> None:
        """Count ``value``, which is above 0."""
        if second >= self._until:
            self._advance(second)
        position = math.log(value) * _PER_LOG - self._first
        bucket = 0 if position < 0 else BUCKETS - 1 if position >= BUCKETS else int(position)
        self._count(self._minute, bucket)
        self._count(self._five, bucket)

    def percentiles(
        self, window: SpeedWindow, second: int, least: int = 1, *, highest_first: bool = False
    ) -> Percentiles | None:
        """``None`` below ``least`` values. ``highest_first`` counts down from the best value, for throughput."""
        found = self._levels(window, second, (50, 75, 90, 99), least, highest_first=highest_first)
        return Percentiles(*found) if found else None

    def level(self, window: SpeedWindow, second: int, percent: int, least: int = 1) -> float | None:
        """What ``percent`` of the values do not exceed; ``None`` below ``least`` values."""
        found = self._levels(window, second, (percent,), least)
        return found[0] if found else None

    def _levels(
        self, window: SpeedWindow, second: int, percents: Sequence[int], least: int, *, highest_first: bool = False
    ) -> list[float] | None:
        if second >= self._until:
            self._advance(second)
        first, _, slots = _WINDOWS[window]
        rows = np.frombuffer(self._counts, np.uint16).reshape(-1, BUCKETS)[first : first + slots]
        counts = rows.sum(axis=0, dtype=np.int64)
        reached = np.cumsum(counts[::-1] if highest_first else counts)
        total = int(reached[-1])
        if total < least:
            return None
        wanted = [max(1, math.ceil(percent * total / 100)) for percent in percents]
        found = np.searchsorted(reached, wanted)
        if highest_first:
            found = BUCKETS - 1 - found
        return [float(BASE ** (self._first + bucket + 0.5)) for bucket in found.tolist()]

    def _count(self, start: int, bucket: int) -> None:
        try:
            self._counts[start + bucket] += 1
        except OverflowError:
            # 16 bits are full: half of every bucket of the slot has the same percentiles.
            halved = array("H", (count >> 1 for count in self._counts[start : start + BUCKETS]))
            self._counts[start : start + BUCKETS] = halved
            self._counts[start + bucket] += 1

    def _advance(self, second: int) -> None:
        for first, width, slots in (_MINUTES, _FIVES):
            old, new = self._second // width, second // width
            for slot in range(old + 1, old + 1 + min(new - old, slots)):
                at = (first + slot % slots) * BUCKETS
                self._counts[at : at + BUCKETS] = _EMPTY
        self._place(second)

    def _place(self, second: int) -> None:
        self._second = second
        self._until = (second // 60 + 1) * 60
        self._minute = second // 60 % 5 * BUCKETS
        self._five = (5 + second // 300 % 6) * BUCKETS
