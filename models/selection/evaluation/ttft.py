"""TtftRatios under another policy, from the log: mean and 99th percentile of TTFT, each as a ratio with its interval.

A quantile is that of the log with each request weighted by π(chosen) / propensity, normalised; what is resampled
are whole blocks of time. The few requests that carry a tail must be there: without them there is no answer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats, Ints
from models.selection.evaluation.intervals import REPLICATES, Interval, interval

TAIL = 0.99
# Fewer effective samples beyond the quantile say next to nothing of it.
LEAST_IN_TAIL = 5.0


class TtftRatios(NamedTuple):
    """Ratios of the target's TTFT to the baseline's; ``p99`` is ``None`` where the tail is too thin."""

    mean: Interval
    p99: Interval | None


def ttft_ratios(ttft_s: Floats, ours: Floats, theirs: Floats, block: Ints, seed: int = 0) -> TtftRatios | None:
    """Of n requests: TTFT in seconds (NaN: no token), weights under both policies, blocks. ``None`` of nothing."""
    answered = np.isfinite(ttft_s) & (ttft_s > 0)
    if not (ours[answered].any() and theirs[answered].any()):
        return None
    order = np.flatnonzero(answered)[np.argsort(ttft_s[answered], kind="stable")]
    values, weights = ttft_s[order], (ours[order], theirs[order])
    names, rank = np.unique(block[order], return_inverse=True)
    count = len(names)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=REPLICATES)
    replicas = np.array([_log_ratios(values, weights, times[rank]) for times in drawn])
    replicas = replicas[np.isfinite(replicas).all(axis=1)]
    if len(replicas) < REPLICATES / 2:
        return None
    found = _log_ratios(values, weights, np.ones(len(values)))
    mean, p99 = (
        Interval._make(math.exp(bound) for bound in interval(value, column, count))
        for value, column in zip(found, replicas.T, strict=True)
    )
    in_tail = min(effective_samples(weight) for weight in weights) * (1 - TAIL)
    return TtftRatios(mean, p99 if in_tail >= LEAST_IN_TAIL else None)


def effective_samples(weight: Floats) -> float:
    """Kish's (Σ w)² / Σ w²."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def _log_ratios(values: Floats, weights: tuple[Floats, Floats], times: Floats) -> tuple[float, float]:
    """Logarithms of both ratios; ``values`` ascending, ``times`` how often each counts."""
    means, tails = [], []
    for weight in weights:
        sums = np.cumsum(weight * times)
        total = float(sums[-1])
        if total <= 0:
            return float("nan"), float("nan")
        means.append(float((weight * times) @ values) / total)
        tails.append(float(values[min(int(np.searchsorted(sums, TAIL * total)), len(values) - 1)]))
    return math.log(means[0] / means[1]), math.log(tails[0] / tails[1])
