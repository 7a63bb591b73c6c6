"""A prior, corrected within seconds by what has been seen: means and variances of what an attempt will come to.

Means of what was seen fade with half-lives of a day, 30 and 5 minutes. The slowest corrects the prior, each faster one
the slower, by the gain of a Gaussian filter (Kalman 1960): v / (v + noise² / n), where v is the variance left so far
plus how far the quicker level strays from the slower. So a few calls move what is little known, and many calls what is
well known. That is too slow for an incident, so the last few waits and paces decide between two hypotheses: the level
is what the filter says, or it has jumped.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from models.selection.decision import live_observations
from models.selection.decision.arrays import Floats
from models.selection.decision.live_observations import (
    LAST_CALLS,
    MEASURED_QUANTITIES,
    PRIOR_VARIANCE_WEIGHT,
    EndpointViews,
)

# Rows of beliefs. The wait is ln s to the first token of a stream, or to the end of an answer that comes whole.
FAILURE, RATE_LIMITED, LATENCY, THROUGHPUT, MALFORMED = range(5)
STREAMING_ROWS = np.array(
    [
        live_observations.FAILURE,
        live_observations.RATE_LIMITED,
        live_observations.LOG_TTFT,
        live_observations.LOG_TOKENS_PER_S,
        live_observations.MALFORMED,
    ]
)
_WHOLE = np.array(
    [
        live_observations.FAILURE,
        live_observations.RATE_LIMITED,
        live_observations.LOG_RESPONSE_TIME,
        live_observations.LOG_TOKENS_PER_S,
        live_observations.MALFORMED,
    ]
)


# Places of a day, 30 and 5 minutes in ``live_observations.HALF_LIVES_S``: the filter's, in its order.
FILTER_HALF_LIVES = (3, 2, 1)
# A jump is about fourfold, up or down; how likely it is that the last few calls followed one, before looking at them.
JUMP, JUMPED = math.log(4.0), 0.05
# Half of the jumps are taken to have ended after so long unseen; found on LLMPerf's rows, where an hour does no harm.
JUMP_HALF_LIFE_S = 1800.0
# Of a jump fewer of the last calls than this tell nothing.
LEAST_FEW = 0.5


class FilterQuantity(NamedTuple):
    """``level`` and sd ``between`` endpoints before any is seen; sd of one observation within an endpoint; sd by which
    the mean of each of ``FILTER_HALF_LIVES`` strays from that of the one before, of the first by nothing."""

    level: float
    between: float
    noise: float
    strays: tuple[float, float, float]


# Levels and spreads of waits and paces are those of ``market.toml``; see docs/selection.md for the rest.
FILTER_QUANTITIES = (
    FilterQuantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03)),
    FilterQuantity(0.05, 0.10, 0.25, (0.0, 0.0, 0.0)),
    FilterQuantity(math.log(0.64), 0.6, 0.3, (0.0, 0.3, 0.1)),
    FilterQuantity(math.log(60.0), 0.9, 0.2, (0.0, 0.1, 0.1)),
    FilterQuantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03)),
)


class GaussianPrior(NamedTuple):
    """What is believed of n endpoints before looking at what was seen of them: ``means`` and ``variances`` (5, n).

    ``shift`` (5, n) is how far this request's figures lie from those of the requests that were seen; ``spread`` (2, n)
    the sd of a single ln wait and ln tokens a second within the endpoint, what was seen of each where there is none.
    A quantity is a row, since sums of what lies together in memory cost a third.
    """

    means: Floats
    variances: Floats
    shift: Floats | float = 0.0
    spread: Floats | None = None


class Posterior(NamedTuple):
    """Of n endpoints, rows as above: ``means``, and ``variances`` of these means, (5, n)."""

    means: Floats
    variances: Floats


VARIANCE_BETWEEN: Floats = np.array([quantity.between for quantity in FILTER_QUANTITIES]) ** 2
_NOISE = np.array([quantity.noise for quantity in FILTER_QUANTITIES]) ** 2
_STRAYS = np.array([quantity.strays for quantity in FILTER_QUANTITIES]).T ** 2
_TIMES = slice(LATENCY, THROUGHPUT + 1)
_ODDS, _JUMP, _SURE = JUMPED / (1.0 - JUMPED), JUMP**2, 50.0
LEAST_SPREAD = 0.1
_SCATTERED = {
    stream: [MEASURED_QUANTITIES.index(wait), MEASURED_QUANTITIES.index(live_observations.LOG_TOKENS_PER_S)]
    for stream, wait in ((True, live_observations.LOG_TTFT), (False, live_observations.LOG_RESPONSE_TIME))
}


def update_posterior(prior: GaussianPrior, views: EndpointViews, stream: bool) -> Posterior:
    """``prior`` corrected by ``views`` of the same endpoints."""
    rows = STREAMING_ROWS if stream else _WHOLE
    # (half-lives and the last few, quantities, n)
    counts, seen = views.counts.T.take(rows, axis=1), views.means.T.take(rows, axis=1)
    means, variances = prior.means - prior.shift, prior.variances.copy()
    usual, strays = _tiled(means.shape[1])
    noise = usual.copy()
    if prior.spread is None:
        noise[_TIMES] = _scatter(views, stream)
    else:
        np.multiply(prior.spread, prior.spread, out=noise[_TIMES])
    for place, half in enumerate(FILTER_HALF_LIVES):
        if place:
            variances += strays[place]
        gain = variances * counts[half]
        gain /= gain + noise
        off = seen[half] - means
        off *= gain
        means += off
        gain *= variances
        variances -= gain
    lasting = np.exp2(views.since_s / -JUMP_HALF_LIFE_S)
    _jump(
        means[_TIMES], variances[_TIMES], noise[_TIMES], counts[LAST_CALLS, _TIMES], seen[LAST_CALLS, _TIMES], lasting
    )
    means += prior.shift
    return Posterior(means, variances)


@lru_cache(maxsize=256)
def _tiled(count: int) -> tuple[Floats, Floats]:
    """``_NOISE`` (quantities, count) and ``_STRAYS`` (halves, quantities, count): sums of one shape cost a third."""
    return np.tile(_NOISE[:, None], (1, count)), np.tile(_STRAYS[:, :, None], (1, 1, count))


def _scatter(views: EndpointViews, stream: bool) -> Floats:
    """Variance of a single ln wait and ln tokens a second within each endpoint, drawn to what is usual, (2, n)."""
    sums, counts = views.squares.T.take(_SCATTERED[stream], axis=0).transpose(1, 0, 2)
    found: Floats = (sums + PRIOR_VARIANCE_WEIGHT * _NOISE[_TIMES, None]) / (counts + PRIOR_VARIANCE_WEIGHT)
    return np.maximum(found, LEAST_SPREAD**2, out=found)


def _jump(means: Floats, variances: Floats, noise: Floats, counts: Floats, seen: Floats, lasting: Floats) -> None:
    """Move ``means`` and ``variances`` as far as the last few calls, ``counts`` of mean ``seen``, speak for a jump.

    ``lasting`` is the chance that it has not ended since: who was left for it becomes uncertain, and is tried again.
    """
    told = counts >= LEAST_FEW
    if not told.any():
        return
    error = noise / np.maximum(counts, LEAST_FEW)
    off = seen - means
    still = variances + error
    moved = still + _JUMP
    squares = off * off
    squares *= (0.5 * _JUMP) / (still * moved)  # half of 1 / still - 1 / moved
    odds = np.sqrt(still / moved)
    odds *= np.exp(np.minimum(squares, _SURE, out=squares))
    odds *= _ODDS
    chance = odds / (1.0 + odds)
    chance *= told
    chance *= lasting
    gain = (variances + _JUMP) / moved
    off *= gain
    gain *= error
    gain -= variances
    gain += (1.0 - chance) * off * off
    off *= chance
    means += off
    gain *= chance
    variances += gain
