"""Split-conformal correction: how far a predicted quantile must move so that as many stay below it as it says.

Vovk et al. 2005, Romano et al. 2019: of n exchangeable residuals the ⌈(n + 1)·q⌉-th smallest, added to a prediction,
covers the next with a chance of at least q. A lower quantile is the mirror image.
"""

from __future__ import annotations

import math

import numpy as np

from models.selection.decision.arrays import Floats

# Of fewer residuals the 90th percentile is little more than the largest.
MIN_RESIDUALS = 20


def conformal_offset(residuals: Floats, quantile: float) -> float:
    """``residuals`` (n,) are what was seen less what was predicted; 0 where there are fewer than ``MIN_RESIDUALS``."""
    count = len(residuals)
    if count < MIN_RESIDUALS:
        return 0.0
    if quantile < 0.5:
        return -conformal_offset(-residuals, 1.0 - quantile)
    if quantile == 0.5:
        return float(np.median(residuals))
    place = min(math.ceil((count + 1) * quantile), count)
    return float(np.partition(residuals, place - 1)[place - 1])


def pinball_loss(residuals: Floats, quantile: float) -> Floats:
    """The loss that the ``quantile`` minimises, one for each residual (Koenker and Bassett 1978)."""
    loss: Floats = np.maximum(quantile * residuals, (quantile - 1.0) * residuals)
    return loss
