"""Compute intervals by resampling blocks of time, since neighbours in a log share their outages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats, Ints

REPLICATES = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """Hold a figure with its interval, in the figure's unit."""

    value: float
    low: float
    high: float


def flatten_intervals(named: Mapping[str, Interval | None]) -> dict[str, float]:
    """Return each known interval as ``name``, ``name.low`` and ``name.high``, for reports and the audit log."""
    return {
        key: figure
        for name, interval in named.items()
        if interval is not None
        for key, figure in ((name, interval.value), (f"{name}.low", interval.low), (f"{name}.high", interval.high))
    }


def block_sums(rows: Floats, block: Ints) -> Floats:
    """Sum ``rows`` (n, m) within each block: (blocks, m)."""
    _, rank = np.unique(block, return_inverse=True)
    return np.stack([np.bincount(rank, weights=column) for column in rows.T], axis=1)


def resample_blocks(sums: Floats, seed: int, replicates: int = REPLICATES) -> Floats:
    """Return the totals of blocks drawn with replacement: (replicates, m)."""
    count = len(sums)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    totals: Floats = drawn @ sums
    return totals


def interval(value: float, replicas: Floats, blocks: int, level: float = LEVEL) -> Interval:
    """Return the expanded percentile interval (Hesterberg 2015) of ``replicas``.

    The percentile interval is widened about ``value`` by sqrt(n / (n - 1)) and by the ratio of Student's to the normal
    quantile (its first Cornish-Fisher term), n being the number of blocks: without that it is too narrow for few
    blocks.
    """
    normal = NormalDist().inv_cdf((1 + level) / 2)
    degrees_of_freedom = max(blocks - 1, 1)
    widening = math.sqrt(blocks / degrees_of_freedom) * (1 + (normal**2 + 1) / (4 * degrees_of_freedom))
    low, high = np.quantile((replicas - value) * widening, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, value + float(low), value + float(high))


def mean_interval(values: Floats, block: Ints, seed: int = 0) -> Interval:
    """Return the mean of ``values`` (n,) with its block-bootstrap interval."""
    sums = block_sums(np.stack([values, np.ones_like(values)], axis=1), block)
    totals = resample_blocks(sums, seed)
    return interval(float(values.mean()), totals[:, 0] / totals[:, 1], len(sums))


def wilson_interval(good: int, count: int, level: float) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a share."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (good + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * math.sqrt(good * (count - good) / count + z * z / 4)
    return centre - half, centre + half
