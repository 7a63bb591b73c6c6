"""Turn a posterior into expected losses in USD, and losses into probabilities. Pure functions of numpy arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.posterior import FAILURE, LATENCY, MALFORMED, RATE_LIMITED, THROUGHPUT, Posterior

# A client that does not say otherwise values a second at 0.36 USD an hour, and a failed first attempt at 25 seconds;
# docs/selection.md explains the choice.
USD_PER_SECOND = 0.0001
USD_PER_FAILURE = 0.0025


class UtilityWeights(NamedTuple):
    """Hold what the client values, in USD.

    ``ttft_second`` is the value of a second until the first token, ``generation_second`` that of a second after it, and
    ``failure`` that of a failed or malformed attempt. ``price`` multiplies the request's own cost.
    """

    ttft_second: float = USD_PER_SECOND
    generation_second: float = USD_PER_SECOND
    failure: float = USD_PER_FAILURE
    price: float = 1.0


# Factors of the usual weights for a client that asks for one thing above the others. A failure stays worth as many
# seconds as before: it costs the second attempt's time.
SORT_FACTORS = {
    # In a batch latency hardly matters. A tenth of the usual weight remains, so that latency stays bounded.
    "price": UtilityWeights(0.1, 0.1, 0.1, 1.0),
    # A person waits for the first token, and reads no faster than the rest is generated.
    "latency": UtilityWeights(10.0, 1.0, 10.0, 0.1),
    # A program needs the last token, and the first one's latency is a small part of that time.
    "throughput": UtilityWeights(1.0, 10.0, 10.0, 0.1),
}


def weights_for_sort(sort: str | None, usual: UtilityWeights = UtilityWeights()) -> UtilityWeights:
    """Return the weights of a request that wants ``sort`` above the rest; ``None`` leaves the ``usual`` weights.

    Raises ``KeyError`` on a ``sort`` that is not in ``SORT_FACTORS``.
    """
    if sort is None:
        return usual
    return UtilityWeights(*(weight * factor for weight, factor in zip(usual, SORT_FACTORS[sort], strict=True)))


class DecisionConstants(NamedTuple):
    """Hold the constants of the decision.

    ``optimism`` is how many standard deviations an uncertain quantity is taken better than expected. ``floor`` is the
    share of exploration, spread over the safe set: the candidates whose expected loss exceeds the best one's by less
    than ``margin_s`` seconds' worth, each with the less the more it is expected to lose.
    """

    optimism: float = 0.7
    floor: float = 0.01
    margin_s: float = 1.0
    outage_hazard: float = 0.003  # per request, before any sign of it
    ejection_s: float = 30.0  # times consecutive failures: Envoy's base_ejection_time
    busy_spell_s: float = 8.0  # mean time for which an endpoint is exhausted, by others or by us


# The largest share of time in which others exhaust an endpoint: at 1 the chain would never leave the bad state.
MAX_BUSY_SHARE = 0.95


class ExpectedLosses(NamedTuple):
    """Hold the expected and the optimistic loss of each of n candidates, USD."""

    loss: Floats
    optimistic: Floats


def expected_losses(
    price_usd: Floats,
    output_tokens: float,
    posterior: Posterior,
    views: EndpointViews,
    tools: bool,
    stream: bool,
    weights: UtilityWeights = UtilityWeights(),
    constants: DecisionConstants = DecisionConstants(),
) -> ExpectedLosses:
    """Return the losses of a first attempt: its price, its latency and the cost of its failure, in USD.

    ``price_usd`` is (n,); ``posterior`` and ``views`` are of the same n candidates.
    """
    means, optimism = posterior.means, np.sqrt(posterior.variances)
    optimism *= constants.optimism
    optimistic_factors = np.exp(-optimism[LATENCY : THROUGHPUT + 1])
    ttft_cost = np.exp(means[LATENCY])
    ttft_cost *= weights.ttft_second
    optimistic = weights.price * price_usd
    loss = optimistic + ttft_cost
    ttft_cost *= optimistic_factors[0]
    optimistic += ttft_cost
    if stream:
        generation = np.exp(-means[THROUGHPUT])
        generation *= weights.generation_second * output_tokens
        loss += generation
        generation *= optimistic_factors[1]
        optimistic += generation
    failure_probability = np.maximum(means[FAILURE], 0.0)
    optimistic_failing = np.maximum(means[FAILURE] - optimism[FAILURE], 0.0)
    if tools:
        failure_probability += np.maximum(means[MALFORMED], 0.0)
        optimistic_failing += np.maximum(means[MALFORMED] - optimism[MALFORMED], 0.0)
    certain_part = outage_probability(means[FAILURE], views, constants) + rate_limit_probability(
        means[RATE_LIMITED], views, constants
    )
    loss += weights.failure * (failure_probability + certain_part)
    optimistic += weights.failure * (optimistic_failing + certain_part)
    return ExpectedLosses(loss, optimistic)


def outage_probability(base_rate: Floats, views: EndpointViews, constants: DecisionConstants) -> Floats:
    """Return the posterior probability of an outage after consecutive failures, (n,).

    It halves with every ``ejection_s`` times the number of failures. ``base_rate`` is the usual failure rate.
    """
    streak = np.minimum(views.streak, 10.0)
    if not streak.any():
        return streak
    failure_rate = np.where(streak < 3, np.clip(base_rate, 0.01, 0.9), 0.01)
    posterior = 1.0 / (1.0 + failure_rate**streak / constants.outage_hazard)
    remaining_share = np.exp2(-views.since_failure_s / (constants.ejection_s * np.maximum(streak, 1.0)))
    found: Floats = np.where(streak > 0, posterior * remaining_share, 0.0)
    return found


def rate_limit_probability(base_rate: Floats, views: EndpointViews, constants: DecisionConstants) -> Floats:
    """Return the probability of a 429, (n,).

    Others exhaust an endpoint in spells: a Markov chain of two states (Gilbert 1960) that spends the share
    ``base_rate`` of the time in the bad one. The last call's state is known, and what it tells decays with the time
    since.
    """
    share = np.minimum(np.maximum(base_rate, 0.0), MAX_BUSY_SHARE)
    rate = 1.0 / (constants.busy_spell_s * (1.0 - share))
    found: Floats = share + (views.refused - share) * np.exp(-views.since_s * rate)
    return found


def choice_probabilities(
    expected: ExpectedLosses, cap: Floats, margin_usd: float, constants: DecisionConstants = DecisionConstants()
) -> list[float]:
    """Give all probability to the least optimistic loss, then spread the floor over the safe set.

    A candidate receives at most its ``cap`` (n,); the rest goes to the next best.
    """
    remaining, probabilities = 1.0, [0.0] * len(cap)
    caps = cap.tolist()
    for place in np.argsort(expected.optimistic, kind="stable").tolist():
        probabilities[place] = min(remaining, caps[place])
        remaining -= probabilities[place]
        if remaining <= 0:
            break
    margins = np.maximum(1.0 - (expected.loss - expected.loss.min()) / margin_usd, 0.0)
    shares = (constants.floor / margins.sum() * margins).tolist()
    total = 1.0 - remaining
    return [
        (1 - constants.floor) * failure_rate / total + share
        for failure_rate, share in zip(probabilities, shares, strict=True)
    ]
