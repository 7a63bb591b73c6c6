"""Correct a prior within seconds by live observations: means and variances of what an attempt will come to.

Means of observations decay with half-lives of a day, 30 and 5 minutes. The slowest corrects the prior, and each faster
one corrects the slower, by the gain of a Gaussian filter (Kalman 1960): v / (v + noise² / n), where v is the variance
left so far plus the drift of the faster mean from the slower. Hence a few calls correct an uncertain mean, and a
certain one needs many. That is too slow for an incident. Therefore the last latencies and throughputs decide between
two hypotheses: the mean is the filter's, or it has jumped.
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

# Rows of the posterior. The latency is ln s to the first token of a stream, or to the end of a non-streaming response.
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
_NON_STREAMING_ROWS = np.array(
    [
        live_observations.FAILURE,
        live_observations.RATE_LIMITED,
        live_observations.LOG_RESPONSE_TIME,
        live_observations.LOG_TOKENS_PER_S,
        live_observations.MALFORMED,
    ]
)


# Indices of a day, 30 and 5 minutes in ``live_observations.HALF_LIVES_S``, in the filter's order.
FILTER_HALF_LIVES = (3, 2, 1)
# A jump multiplies or divides by about four; the prior probability that the last calls followed one.
JUMP, JUMP_PROBABILITY = math.log(4.0), 0.05
# Half of the jumps are taken to have ended after so long without a call; tuned on LLMPerf's rows, where an hour does no
# harm.
JUMP_HALF_LIFE_S = 1800.0
# Fewer of the last calls than this say nothing about a jump.
MIN_LAST_CALLS = 0.5


class FilterQuantity(NamedTuple):
    """Hold the constants of one filtered quantity.

    ``mean`` and standard deviation ``between`` endpoints hold before any observation. ``noise`` is the standard
    deviation of one observation within an endpoint. ``drift`` is the standard deviation by which the mean of each of
    ``FILTER_HALF_LIVES`` differs from that of the one before; it is 0 for the first.
    """

    mean: float
    between: float
    noise: float
    drift: tuple[float, float, float]


# Means and spreads of latency and throughput are those of ``market.toml``; docs/selection.md explains the others.
FILTER_QUANTITIES = (
    FilterQuantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03)),
    FilterQuantity(0.05, 0.10, 0.25, (0.0, 0.0, 0.0)),
    FilterQuantity(math.log(0.64), 0.6, 0.3, (0.0, 0.3, 0.1)),
    FilterQuantity(math.log(60.0), 0.9, 0.2, (0.0, 0.1, 0.1)),
    FilterQuantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03)),
)


class GaussianPrior(NamedTuple):
    """Hold the distribution of n endpoints before their observations: ``means`` and ``variances``, (5, n).

    ``shift`` (5, n) is how far this request's figures lie from those of the observed requests. ``spread`` (2, n) is the
    standard deviation of a single ln latency and ln throughput within the endpoint; without it that of the observations
    is taken. A quantity is a row, since sums over contiguous memory cost a third.
    """

    means: Floats
    variances: Floats
    shift: Floats | float = 0.0
    spread: Floats | None = None


class Posterior(NamedTuple):
    """Hold ``means`` of n endpoints and the ``variances`` of these means, (5, n), in the rows named above."""

    means: Floats
    variances: Floats


VARIANCE_BETWEEN: Floats = np.array([quantity.between for quantity in FILTER_QUANTITIES]) ** 2
_NOISE = np.array([quantity.noise for quantity in FILTER_QUANTITIES]) ** 2
_DRIFT = np.array([quantity.drift for quantity in FILTER_QUANTITIES]).T ** 2
_TIMES = slice(LATENCY, THROUGHPUT + 1)
_ODDS, _JUMP, _MAX_LOG_ODDS = JUMP_PROBABILITY / (1.0 - JUMP_PROBABILITY), JUMP**2, 50.0
MIN_SPREAD = 0.1
_MEASURED_ROWS = {
    stream: [MEASURED_QUANTITIES.index(latency), MEASURED_QUANTITIES.index(live_observations.LOG_TOKENS_PER_S)]
    for stream, latency in ((True, live_observations.LOG_TTFT), (False, live_observations.LOG_RESPONSE_TIME))
}


def update_posterior(prior: GaussianPrior, views: EndpointViews, stream: bool) -> Posterior:
    """Correct ``prior`` by ``views`` of the same endpoints."""
    rows = STREAMING_ROWS if stream else _NON_STREAMING_ROWS
    # Both have the shape (half-lives and the last calls, quantities, n).
    counts, observed_means = views.counts.T.take(rows, axis=1), views.means.T.take(rows, axis=1)
    means, variances = prior.means - prior.shift, prior.variances.copy()
    noise_of_quantities, drift = _tiled(means.shape[1])
    noise = noise_of_quantities.copy()
    if prior.spread is None:
        noise[_TIMES] = _observed_noise(views, stream)
    else:
        np.multiply(prior.spread, prior.spread, out=noise[_TIMES])
    for place, half in enumerate(FILTER_HALF_LIVES):
        if place:
            variances += drift[place]
        gain = variances * counts[half]
        gain /= gain + noise
        difference = observed_means[half] - means
        difference *= gain
        means += difference
        gain *= variances
        variances -= gain
    still_jumped = np.exp2(views.since_s / -JUMP_HALF_LIFE_S)
    _jump(
        means[_TIMES],
        variances[_TIMES],
        noise[_TIMES],
        counts[LAST_CALLS, _TIMES],
        observed_means[LAST_CALLS, _TIMES],
        still_jumped,
    )
    means += prior.shift
    return Posterior(means, variances)


@lru_cache(maxsize=256)
def _tiled(count: int) -> tuple[Floats, Floats]:
    """Return ``_NOISE`` as (quantities, count) and ``_DRIFT`` as (half-lives, quantities, count).

    Sums of equal shapes cost a third of broadcast ones.
    """
    return np.tile(_NOISE[:, None], (1, count)), np.tile(_DRIFT[:, :, None], (1, 1, count))


def _observed_noise(views: EndpointViews, stream: bool) -> Floats:
    """Return the variance of a single ln latency and ln throughput, shrunk to the usual one, (2, n)."""
    sums, counts = views.squares.T.take(_MEASURED_ROWS[stream], axis=0).transpose(1, 0, 2)
    found: Floats = (sums + PRIOR_VARIANCE_WEIGHT * _NOISE[_TIMES, None]) / (counts + PRIOR_VARIANCE_WEIGHT)
    return np.maximum(found, MIN_SPREAD**2, out=found)


def _jump(
    means: Floats, variances: Floats, noise: Floats, counts: Floats, observed_means: Floats, still_jumped: Floats
) -> None:
    """Move ``means`` and ``variances`` as far as the last calls support a jump.

    ``counts`` and ``observed_means`` are those of the last calls. ``still_jumped`` is the probability that the jump has
    not ended since. It lets an endpoint that was left because of a jump become uncertain, so that it is tried again.
    """
    informative = counts >= MIN_LAST_CALLS
    if not informative.any():
        return
    error = noise / np.maximum(counts, MIN_LAST_CALLS)
    difference = observed_means - means
    variance_without_jump = variances + error
    variance_with_jump = variance_without_jump + _JUMP
    squares = difference * difference
    squares *= (0.5 * _JUMP) / (variance_without_jump * variance_with_jump)  # half of 1 / still - 1 / moved
    odds = np.sqrt(variance_without_jump / variance_with_jump)
    odds *= np.exp(np.minimum(squares, _MAX_LOG_ODDS, out=squares))
    odds *= _ODDS
    chance = odds / (1.0 + odds)
    chance *= informative
    chance *= still_jumped
    gain = (variances + _JUMP) / variance_with_jump
    difference *= gain
    gain *= error
    gain -= variances
    gain += (1.0 - chance) * difference * difference
    difference *= chance
    means += difference
    gain *= chance
    variances += gain
