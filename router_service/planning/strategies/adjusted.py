"""Share the traffic by adjusted price and speed: the expected cost of an endpoint with its faults priced in.

Follows the reference's "traffic routing" page (autumn 2026). The page gives the terms and worked figures but not the
curve: ``SPEED_POWER``, ``PRICE_POWER`` and ``EDGE_DECAY`` are fitted to its five illustrative shares, which they
reproduce to 0.1 percentage points. The other figures marked "ours" have no published value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from data.catalogue.cost import scaled_cost
from data.catalogue.types import Price
from router_service.core.plan import Arm
from router_service.core.preferences import Percentiles
from router_service.planning.eligibility import RequestProfile
from router_service.planning.market_state import UNMEASURED, EndpointMeasurement
from router_service.planning.strategies.edge import edge_prices
from router_service.planning.strategies.strategy import (
    RULES_VERSION,
    StrategyInput,
    StrategyResult,
    cumulate,
    upper_median,
)

SPEED_POWER = 1.714
PRICE_POWER = 1.863
EDGE_DECAY = 1.158
EXPLORATION = 0.03  # ours: this part of the traffic is spread evenly, so that every endpoint is measured again
ERROR_MULTIPLE = 8.0  # 1 % of errors costs 8 %
MALFORMED_MULTIPLE = 1.0  # 5 % of malformed tool calls cost 5 %
# Ours, in multiples of a typical peer's price: a 429 with a Retry-After of 10 s costs the page's 2.50 at 1.00.
RATE_LIMIT_PENALTY = 2.0
RATE_LIMIT_PER_SECOND = 0.05
TTFT_PER_SECOND = 0.03  # ours, in the same unit
SHRINKAGE = 20.0  # ours: after so many requests an endpoint's own figures weigh as much as its peers'
TYPICAL_COMPLETION_TOKENS = 500


class ShrunkMeasurements(NamedTuple):
    """Hold shrunk figures, one column each.

    Rates are in [0, 1], ``retry_after`` and ``ttft`` in seconds, ``speed`` in tokens per second.
    """

    cached: list[float]
    errors: list[float]
    rate_limited: list[float]
    malformed: list[float]
    retry_after: list[float]
    ttft: list[float]
    speed: list[float]


def choose(inputs: StrategyInput) -> StrategyResult:
    """Share the traffic among the best tier; a failed choice is followed by a draw from the rest."""
    best = inputs.best_tier_size()
    endpoints = inputs.endpoints[:best]
    measures = [inputs.state.measures.get(e.id, UNMEASURED) for e in endpoints]
    factors = [inputs.state.distance(e.id, inputs.profile.client_region) for e in endpoints]
    levels = at_distance(
        shrink_measurements(measures, inputs.profile.tools), factors, _expected_completion(measures, inputs.profile)
    )
    listed = [inputs.profile.price_of(e.price or Price(0, 0)) for e in endpoints]
    prices = adjusted_prices(listed, levels, measures, inputs.profile)
    deprioritised = [e.id in inputs.deprioritised for e in endpoints]
    shares = adjusted_shares(prices, levels.speed, deprioritised)
    rest = len(inputs.endpoints) - best
    arm = Arm("adjusted", RULES_VERSION, 1.0, cumulate(shares + [0.0] * rest))
    return StrategyResult(inputs.endpoints, (arm,), prices + [p / 1e9 for p in inputs.prices[best:]], redraw=True)


def adjusted_shares(
    prices: Sequence[float], speeds: Sequence[float], deprioritised: Sequence[bool] = ()
) -> list[float]:
    """Return the share of each endpoint, summing to 1, from its adjusted price and speed (tokens/s, TTFT included).

    A share is ``speed^a / price^b`` times ``exp(-c · gap²)``, where ``gap`` is the price's relative distance above the
    competitive edge at that speed. Deprioritised endpoints get exploration traffic only.
    """
    floor = max(max(prices) * 1e-6, 1e-12)
    costs = prices if min(prices) >= floor else [max(price, floor) for price in prices]
    log, exp = math.log, math.exp
    weights = [
        exp(SPEED_POWER * log(speed) - PRICE_POWER * log(cost) - EDGE_DECAY * (cost / edge - 1.0) ** 2)
        for cost, speed, edge in zip(costs, speeds, edge_prices(costs, speeds), strict=True)
    ]
    if any(deprioritised) and not all(deprioritised):
        weights = [0.0 if out else weight for out, weight in zip(deprioritised, weights, strict=True)]
    total = sum(weights)
    even = EXPLORATION / len(weights)
    if total <= 0:
        weights = [float(not out) for out in deprioritised]
        total = sum(weights)
    scale = (1.0 - EXPLORATION) / total
    return [scale * weight + even for weight in weights]


def adjusted_prices(
    prices: Sequence[Price],
    levels: ShrunkMeasurements,
    measures: Sequence[EndpointMeasurement],
    profile: RequestProfile,
) -> list[float]:
    """Return USD per million tokens of this request, with errors, malformed tool calls, 429s and TTFT priced in."""
    prompt, completion = max(1, profile.prompt_tokens), _expected_completion(measures, profile)
    per_million = 1e6 / (prompt + completion)
    effective = [
        per_million * scaled_cost(price, prompt * (1.0 - cached), completion, cached=prompt * cached).usd
        for price, cached in zip(prices, levels.cached, strict=True)
    ]
    typical = upper_median(effective, 0.0)
    columns = zip(
        effective, levels.errors, levels.malformed, levels.ttft, levels.rate_limited, levels.retry_after, strict=True
    )
    return [
        price * (1.0 + ERROR_MULTIPLE * errors + MALFORMED_MULTIPLE * malformed)
        + typical * (TTFT_PER_SECOND * ttft + rate_limit_cost(limited, delay))
        for price, errors, malformed, ttft, limited, delay in columns
    ]


def rate_limit_cost(rate: float, retry_after_s: float) -> float:
    """Return the cost of a ``rate`` of 429s in multiples of a typical price: (delay + penalty) × rate."""
    return (RATE_LIMIT_PER_SECOND * retry_after_s + RATE_LIMIT_PENALTY) * rate


def shrink_measurements(measures: Sequence[EndpointMeasurement], with_tools: bool = True) -> ShrunkMeasurements:
    """Shrink each endpoint's figures towards its peers' median, the more the less traffic it had.

    A figure that no endpoint has is the same for all: 0 for rates and times, 1 token/s for speed. Tool calls count only
    ``with_tools``.
    """
    latencies, throughputs, requests, errors, limited, delays, tools, malformed, prompts, cached, *_ = zip(
        *measures, strict=True
    )
    own = [n / (n + SHRINKAGE) for n in requests]
    hits = [c / p if p else None for c, p in zip(cached, prompts, strict=True)]
    usual_hits = upper_median([hit for hit in hits if hit is not None], 0.0)
    usual_delay = upper_median([delay for delay, n in zip(delays, limited, strict=True) if n], 0.0)
    return ShrunkMeasurements(
        [usual_hits if hit is None else usual_hits + w * (hit - usual_hits) for hit, w in zip(hits, own, strict=True)],
        _rates(errors, requests),
        _rates(limited, [n + r for n, r in zip(requests, limited, strict=True)]),
        _rates(malformed, tools) if with_tools else [0.0] * len(tools),
        [delay if n else usual_delay for delay, n in zip(delays, limited, strict=True)],
        _medians(latencies, own, 0.0),
        _medians(throughputs, own, 1.0),
    )


def at_distance(levels: ShrunkMeasurements, factors: Sequence[float], completion: float) -> ShrunkMeasurements:
    """Return ``levels`` as a client's region sees them: TTFT times ``factors``, speeds with that TTFT included.

    ``completion`` is the tokens of a response. A speed changes by no more than its factor, whatever was measured.
    """
    if all(factor == 1.0 for factor in factors):
        return levels
    ttfts = [ttft * factor for ttft, factor in zip(levels.ttft, factors, strict=True)]
    speeds = []
    for speed, factor, before, after in zip(levels.speed, factors, levels.ttft, ttfts, strict=True):
        low, high = sorted((1.0, factor))
        slower = min(max(1.0 + (after - before) * speed / completion, low), high)
        speeds.append(speed / slower)
    return levels._replace(ttft=ttfts, speed=speeds)


def _rates(events: Sequence[int], trials: Sequence[int]) -> list[float]:
    """Return events per trial, with ``SHRINKAGE`` trials of a typical peer added to each endpoint's own."""
    usual = SHRINKAGE * upper_median([k / n for k, n in zip(events, trials, strict=True) if n], 0.0)
    return [(k + usual) / (n + SHRINKAGE) for k, n in zip(events, trials, strict=True)]


def _medians(measured: Sequence[Percentiles], own: Sequence[float], default: float) -> list[float]:
    """Return weighted geometric means with a typical peer. Times and speeds are skewed, their logarithms are not."""
    medians = [percentiles.p50 for percentiles in measured]
    peer = upper_median([median for median in medians if median], default)
    return [peer * (median / peer) ** w if median else peer for median, w in zip(medians, own, strict=True)]


def _expected_completion(measures: Sequence[EndpointMeasurement], profile: RequestProfile) -> float:
    """Return the tokens of the model's recent responses, limited by what the client allows."""
    answers = sum([m.answers for m in measures])
    tokens = sum([m.completion_tokens for m in measures])
    usual = tokens / answers if answers else TYPICAL_COMPLETION_TOKENS
    return max(1.0, min(usual, profile.planned_limit or usual))
