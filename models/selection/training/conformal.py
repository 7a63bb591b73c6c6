"""Shift a predicted quantile so that as many outcomes stay below it as it says: split-conformal correction.

Of n exchangeable residuals the ⌈(n + 1)·q⌉-th smallest, added to a prediction, covers the next outcome with a
probability of at least q (Vovk et al. 2005, Romano et al. 2019). A lower quantile is the mirror image.
"""

from __future__ import annotations

import math

import numpy as np

from models.selection.decision.arrays import Floats

# The 90th percentile of fewer residuals is little more than the largest.
MIN_RESIDUALS = 20


def conformal_offset(residuals: Floats, quantile: float) -> float:
    """Return the shift for ``residuals`` (n,), observed minus predicted; 0 for fewer than ``MIN_RESIDUALS``."""
    count = len(residuals)
    if count < MIN_RESIDUALS:
        return 0.0
    if quantile < 0.5:
        return -conformal_offset(-residuals, 1.0 - quantile)
    if quantile == 0.5:
        return float(np.median(residuals))
    rank = min(math.ceil((count + 1) * quantile), count)
    return float(np.partition(residuals, rank - 1)[rank - 1])


def pinball_loss(residuals: Floats, quantile: float) -> Floats:
    """Return the loss that the ``quantile`` minimises, one for each residual (Koenker and Bassett 1978)."""
    loss: Floats = np.maximum(quantile * residuals, (quantile - 1.0) * residuals)
    return loss
