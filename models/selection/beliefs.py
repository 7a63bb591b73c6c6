"""A prior, corrected within seconds by what has been seen: means and variances of what an attempt will come to.

Means of what was seen fade with four half-lives. The slowest corrects the prior, each faster one the slower, by the
gain of a Gaussian filter (Kalman 1960): v / (v + noise² / n), where v is the variance left so far plus how far the
quicker level strays from the slower. So a few calls move what is little known, and many calls what is well known.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.selection import observed
from models.selection.observed import HALF_LIVES_S, Floats, Views

# Columns of beliefs. The wait is ln s to the first token of a stream, or to the end of an answer that comes whole.
FAILURE, LIMITED, WAIT, PACE, MALFORMED = range(5)
_STREAMED = np.array(
    [observed.FAILURE, observed.LIMITED, observed.LOG_TTFT, observed.LOG_TOKENS_PER_S, observed.MALFORMED]
)
_WHOLE = np.array(
    [observed.FAILURE, observed.LIMITED, observed.LOG_WHOLE, observed.LOG_TOKENS_PER_S, observed.MALFORMED]
)


class Quantity(NamedTuple):
    """``level`` and sd ``between`` endpoints before any is seen; sd of one observation within an endpoint; sd by which
    the mean of each half-life strays from that of the next longer one, the shortest first."""

    level: float
    between: float
    noise: float
    strays: tuple[float, float, float, float]


# Levels and spreads of waits and paces are those of ``market.toml``; see docs/selection.md for the rest.
QUANTITIES = (
    Quantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03, 0.0)),
    Quantity(0.05, 0.10, 0.25, (0.0, 0.0, 0.0, 0.0)),
    Quantity(math.log(0.64), 0.6, 0.3, (0.1, 0.1, 0.3, 0.0)),
    Quantity(math.log(60.0), 0.9, 0.2, (0.1, 0.1, 0.1, 0.0)),
    Quantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03, 0.0)),
)


class Prior(NamedTuple):
    """What is believed of n endpoints before looking at what was seen of them: ``means`` and ``variances`` (n, 5).

    ``shift`` (n, 5) is how far this request's figures lie from those of the requests that were seen; ``spread`` (n, 2)
    the sd of a single ln wait and ln tokens a second within the endpoint.
    """

    means: Floats
    variances: Floats
    shift: Floats | float = 0.0
    spread: Floats | None = None


class Beliefs(NamedTuple):
    """Of n endpoints, columns as above: ``means`` and ``variances`` of the means (n, 5), ``spread`` as in ``Prior``."""

    means: Floats
    variances: Floats
    spread: Floats


_NOISE = np.array([quantity.noise for quantity in QUANTITIES]) ** 2
_STRAYS = np.array([quantity.strays for quantity in QUANTITIES]) ** 2
_SPREAD = np.array([QUANTITIES[WAIT].noise, QUANTITIES[PACE].noise])


def believe(prior: Prior, views: Views, stream: bool) -> Beliefs:
    """``prior`` corrected by ``views`` of the same endpoints."""
    columns = _STREAMED if stream else _WHOLE
    counts, seen = views.counts[:, columns], views.means[:, columns]
    means, variances = prior.means.copy(), prior.variances.copy()
    noise: Floats = _NOISE
    spread = np.broadcast_to(_SPREAD, (len(means), 2)) if prior.spread is None else prior.spread
    if prior.spread is not None:
        noise = np.tile(_NOISE, (len(means), 1))
        noise[:, WAIT : PACE + 1] = spread**2
    for half in range(len(HALF_LIVES_S) - 1, -1, -1):
        variances += _STRAYS[:, half]
        gain = variances * counts[:, :, half]
        gain /= gain + noise
        means += gain * (seen[:, :, half] + prior.shift - means)
        variances *= 1.0 - gain
    return Beliefs(means, variances, spread)
