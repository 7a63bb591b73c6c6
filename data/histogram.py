"""Read logarithmic histograms: bucket ``b`` counts values from 1.02^b up to 1.02^(b+1)."""

from __future__ import annotations

import math
from collections.abc import Mapping

BASE = 1.02


def quantile(buckets: Mapping[int, int], level: float) -> float | None:
    """Return the ``level`` quantile within 1 %, the middle of its bucket; ``None`` for an empty histogram.

    Raises ``ValueError`` for a level outside [0, 1].
    """
    if not 0 <= level <= 1:
        raise ValueError(f"level must lie in [0, 1]; got {level}")
    total = sum(buckets.values())
    if not total:
        return None
    wanted = max(1, math.ceil(level * total))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return float(BASE ** (bucket + 0.5))
    raise AssertionError("the last bucket holds the count of every level")
