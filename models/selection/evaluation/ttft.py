"""Estimate TTFT under another policy from the log: mean and 99th percentile, as ratios with intervals.

A quantile is that of the log with each request weighted by π(chosen) / propensity, normalised. Blocks of time are
resampled. The few requests that make up a tail must be in the log; without them there is no estimate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats, Ints
from models.selection.evaluation.intervals import REPLICATES, Interval, interval

TAIL = 0.99
# Fewer effective samples beyond the quantile say next to nothing about it.
MIN_TAIL_SAMPLES = 5.0


class TtftRatios(NamedTuple):
    """Hold the ratios of the target's TTFT to the baseline's; ``p99`` is ``None`` where the tail is too thin."""

    mean: Interval
    p99: Interval | None


def ttft_ratios(
    ttft_s: Floats, target_weight: Floats, baseline_weight: Floats, block: Ints, seed: int = 0
) -> TtftRatios | None:
    """Estimate the ratios from n requests; ``None`` where nothing can be estimated.

    ``ttft_s`` is in seconds, NaN or 0 where no token came. ``target_weight`` and ``baseline_weight`` are the importance
    weights under both policies.
    """
    answered = np.isfinite(ttft_s) & (ttft_s > 0)
    if not (target_weight[answered].any() and baseline_weight[answered].any()):
        return None
    order = np.flatnonzero(answered)[np.argsort(ttft_s[answered], kind="stable")]
    values, weights = ttft_s[order], (target_weight[order], baseline_weight[order])
    blocks, rank = np.unique(block[order], return_inverse=True)
    count = len(blocks)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=REPLICATES)
    replicas = np.array([_log_ratios(values, weights, multiplicity[rank]) for multiplicity in drawn])
    replicas = replicas[np.isfinite(replicas).all(axis=1)]
    if len(replicas) < REPLICATES / 2:
        return None
    log_ratios = _log_ratios(values, weights, np.ones(len(values)))
    mean, p99 = (
        Interval._make(math.exp(bound) for bound in interval(value, column, count))
        for value, column in zip(log_ratios, replicas.T, strict=True)
    )
    in_tail = min(effective_samples(weight) for weight in weights) * (1 - TAIL)
    return TtftRatios(mean, p99 if in_tail >= MIN_TAIL_SAMPLES else None)


def effective_samples(weight: Floats) -> float:
    """Return Kish's number of effective samples, (Σ w)² / Σ w²."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def _log_ratios(values: Floats, weights: tuple[Floats, Floats], multiplicity: Floats) -> tuple[float, float]:
    """Return the logarithms of both ratios; ``values`` ascend, ``multiplicity`` is how often each counts."""
    means, tails = [], []
    for weight in weights:
        sums = np.cumsum(weight * multiplicity)
        total = float(sums[-1])
        if total <= 0:
            return float("nan"), float("nan")
        means.append(float((weight * multiplicity) @ values) / total)
        tails.append(float(values[min(int(np.searchsorted(sums, TAIL * total)), len(values) - 1)]))
    return math.log(means[0] / means[1]), math.log(tails[0] / tails[1])
