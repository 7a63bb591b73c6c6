"""Logarithmic histograms: bucket b holds values from 1.02^b up to 1.02^(b+1)."""

from __future__ import annotations

import math
from collections.abc import Mapping

BASE = 1.02


def quantile(buckets: Mapping[int, int], level: float) -> float | None:
    """The value below which ``level`` (0-1) of the counts lie, to 1 % (a bucket's middle); ``None`` when empty."""
    total = sum(buckets.values())
    if not total:
        return None
    wanted = max(1, math.ceil(level * total))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return float(BASE ** (bucket + 0.5))
    raise AssertionError("a level is at most 1")
