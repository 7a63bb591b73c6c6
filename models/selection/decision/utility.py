"""Posterior → losses → probabilities: the decision that is served, judged and simulated. Pure; numpy alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.posterior import FAILURE, LATENCY, MALFORMED, RATE_LIMITED, THROUGHPUT, Posterior

# What a second of waiting and a failed first attempt are worth to a client that does not say otherwise: 0.36 USD an
# hour, and as much as 25 seconds; see docs/selection.md for what it was weighed against.
USD_PER_SECOND = 0.0001
USD_PER_FAILURE = 0.0025


class UtilityWeights(NamedTuple):
    """What the client minds, in USD: a second to the first token, a second after it, a failed or malformed attempt;
    ``price`` is how often a dollar of the request's price counts."""

    ttft_second: float = USD_PER_SECOND
    generation_second: float = USD_PER_SECOND
    failure: float = USD_PER_FAILURE
    price: float = 1.0


# What the usual worths are multiplied by for who asks for one thing above the others. A failure stays worth as many
# seconds as before: what it costs is the second attempt's time.
SORT_FACTORS = {
    # Nobody waits for it, as in a batch: a tenth of a second's usual worth is left, so that it does not wait for ever.
    "price": UtilityWeights(0.1, 0.1, 0.1, 1.0),
    # Somebody looks at an empty line until the first token comes, and reads no faster than it is written.
    "latency": UtilityWeights(10.0, 1.0, 10.0, 0.1),
    # A program waits for the last token: how long the first one took is a small part of that.
    "throughput": UtilityWeights(1.0, 10.0, 10.0, 0.1),
}


def weights_for_sort(sort: str | None, usual: UtilityWeights = UtilityWeights()) -> UtilityWeights:
    """``usual`` worths for who wants ``sort``, one of ``SORT_FACTORS``, above the rest; ``None`` is nothing above."""
    if sort is None:
        return usual
    return UtilityWeights(*(worth * factor for worth, factor in zip(usual, SORT_FACTORS[sort], strict=True)))


class DecisionConstants(NamedTuple):
    """``optimism``: standard deviations that an uncertain quantity is taken better than expected. ``floor``: share
    spread over the safe set, the candidates expected to lose less than ``margin_s`` seconds' worth more than the best,
    each the less the more it is expected to lose."""

    optimism: float = 0.7
    floor: float = 0.01
    margin_s: float = 1.0
    outage_hazard: float = 0.003  # per request, before any sign of it
    ejection_s: float = 30.0  # times consecutive failures: Envoy's base_ejection_time
    busy_spell_s: float = 8.0  # how long an endpoint is used up at a time, by others or by us, on average


# Of the time in which others use an endpoint up; beyond it the chain would have no way back.
MOST_BUSY = 0.95


class ExpectedLosses(NamedTuple):
    """ExpectedLosses and optimistic loss of each of n candidates, USD."""

    loss: Floats
    hoped: Floats


def expected_losses(
    price_usd: Floats,
    output_tokens: float,
    beliefs: Posterior,
    views: EndpointViews,
    tools: bool,
    stream: bool,
    wish: UtilityWeights = UtilityWeights(),
    constants: DecisionConstants = DecisionConstants(),
) -> ExpectedLosses:
    """Of a first attempt: its price, its waiting and what its failing costs."""
    means, hope = beliefs.means, np.sqrt(beliefs.variances)
    hope *= constants.optimism
    shorter = np.exp(-hope[LATENCY : THROUGHPUT + 1])
    wait = np.exp(means[LATENCY])
    wait *= wish.ttft_second
    hoped = wish.price * price_usd
    loss = hoped + wait
    wait *= shorter[0]
    hoped += wait
    if stream:
        pace = np.exp(-means[THROUGHPUT])
        pace *= wish.generation_second * output_tokens
        loss += pace
        pace *= shorter[1]
        hoped += pace
    failing = np.maximum(means[FAILURE], 0.0)
    hoped_failing = np.maximum(means[FAILURE] - hope[FAILURE], 0.0)
    if tools:
        failing += np.maximum(means[MALFORMED], 0.0)
        hoped_failing += np.maximum(means[MALFORMED] - hope[MALFORMED], 0.0)
    sure = outage_probability(means[FAILURE], views, constants) + rate_limit_probability(
        means[RATE_LIMITED], views, constants
    )
    loss += wish.failure * (failing + sure)
    hoped += wish.failure * (hoped_failing + sure)
    return ExpectedLosses(loss, hoped)


def outage_probability(usual: Floats, views: EndpointViews, constants: DecisionConstants) -> Floats:
    """Posterior of an outage after consecutive failures, (n,); halved each ``ejection_s`` times their number."""
    streak = np.minimum(views.streak, 10.0)
    if not streak.any():
        return streak
    chance = np.where(streak < 3, np.clip(usual, 0.01, 0.9), 0.01)
    posterior = 1.0 / (1.0 + chance**streak / constants.outage_hazard)
    fade = np.exp2(-views.since_failure_s / (constants.ejection_s * np.maximum(streak, 1.0)))
    found: Floats = np.where(streak > 0, posterior * fade, 0.0)
    return found


def rate_limit_probability(usual: Floats, views: EndpointViews, constants: DecisionConstants) -> Floats:
    """P(429), (n,): others use an endpoint up in spells, a chain of two states (Gilbert 1960) that is ``usual`` of the
    time in the bad one. What the last call met is known; how much of it still holds fades with the time since."""
    share = np.minimum(np.maximum(usual, 0.0), MOST_BUSY)
    rate = 1.0 / (constants.busy_spell_s * (1.0 - share))
    found: Floats = share + (views.refused - share) * np.exp(-views.since_s * rate)
    return found


def choice_probabilities(
    expected: ExpectedLosses, cap: Floats, margin_usd: float, constants: DecisionConstants = DecisionConstants()
) -> list[float]:
    """Least hoped-for loss first, up to each one's share of the traffic, (n,); then the floor over the safe set."""
    left, chances = 1.0, [0.0] * len(cap)
    caps = cap.tolist()
    for place in np.argsort(expected.hoped, kind="stable").tolist():
        chances[place] = min(left, caps[place])
        left -= chances[place]
        if left <= 0:
            break
    room = np.maximum(1.0 - (expected.loss - expected.loss.min()) / margin_usd, 0.0)
    shares = (constants.floor / room.sum() * room).tolist()
    total = 1.0 - left
    return [(1 - constants.floor) * chance / total + share for chance, share in zip(chances, shares, strict=True)]
