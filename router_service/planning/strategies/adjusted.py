"""Shares by adjusted price and speed: what an endpoint really costs once its faults are priced in.

Follows the reference's "traffic routing" page (autumn 2026). The page gives the terms and worked figures but
not the curve: ``SPEED_POWER``, ``PRICE_POWER`` and ``EDGE_DECAY`` are fitted to its five illustrative shares,
which they reproduce to 0.1 percentage points. The other figures marked "ours" have no published value.
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
EXPLORATION = 0.03  # ours: part of the traffic spread evenly, so that every endpoint is measured again
ERROR_MULTIPLE = 8.0  # 1 % of errors costs 8 %
MALFORMED_MULTIPLE = 1.0  # 5 % of malformed tool calls cost 5 %
# Ours, in multiples of a typical peer's price: a 429 that asks for 10 s then costs the page's 2.50 at 1.00.
RATE_LIMIT_PENALTY = 2.0
RATE_LIMIT_PER_SECOND = 0.05
TTFT_PER_SECOND = 0.03  # ours, in the same unit
SHRINKAGE = 20.0  # ours: requests after which an endpoint's own figures weigh as much as its peers'
TYPICAL_COMPLETION_TOKENS = 500


class ShrunkMeasurements(NamedTuple):
    """Shrunk figures, a column each: rates in [0, 1], ``wait`` and ``ttft`` in s, ``speed`` in tokens/s."""

    cached: list[float]
    errors: list[float]
    rate_limited: list[float]
    malformed: list[float]
    wait: list[float]
    ttft: list[float]
    speed: list[float]


def choose(slate: StrategyInput) -> StrategyResult:
    """The best tier shares the traffic; a failed choice is followed by a draw from the rest."""
    best = slate.best()
    endpoints = slate.endpoints[:best]
    measures = [slate.state.measures.get(e.id, UNMEASURED) for e in endpoints]
    factors = [slate.state.distance(e.id, slate.profile.client_region) for e in endpoints]
    levels = at_distance(
        shrink_measurements(measures, slate.profile.tools), factors, _expected_completion(measures, slate.profile)
    )
    prices = adjusted_prices([e.price or Price(0, 0) for e in endpoints], levels, measures, slate.profile)
    flagged = [e.id in slate.flagged for e in endpoints]
    shares = adjusted_shares(prices, levels.speed, flagged)
    rest = len(slate.endpoints) - best
    arm = Arm("adjusted", RULES_VERSION, 1.0, cumulate(shares + [0.0] * rest))
    return StrategyResult(slate.endpoints, (arm,), prices + [p / 1e9 for p in slate.prices[best:]], redraw=True)


def adjusted_shares(prices: Sequence[float], speeds: Sequence[float], flagged: Sequence[bool] = ()) -> list[float]:
    """Share of each endpoint from its adjusted price and speed (tokens/s, wait included); they sum to 1.

    ``speed^a / price^b``, times ``exp(-c · gap²)`` for a price that lies ``gap`` above the competitive edge at
    that speed. Flagged endpoints get exploration traffic only.
    """
    floor = max(max(prices) * 1e-6, 1e-12)
    costs = prices if min(prices) >= floor else [max(price, floor) for price in prices]
    log, exp = math.log, math.exp
    weights = [
        exp(SPEED_POWER * log(speed) - PRICE_POWER * log(cost) - EDGE_DECAY * (cost / edge - 1.0) ** 2)
        for cost, speed, edge in zip(costs, speeds, edge_prices(costs, speeds), strict=True)
    ]
    if any(flagged) and not all(flagged):
        weights = [0.0 if out else weight for out, weight in zip(flagged, weights, strict=True)]
    total = sum(weights)
    even = EXPLORATION / len(weights)
    if total <= 0:
        weights = [float(not out) for out in flagged]
        total = sum(weights)
    scale = (1.0 - EXPLORATION) / total
    return [scale * weight + even for weight in weights]


def adjusted_prices(
    prices: Sequence[Price],
    levels: ShrunkMeasurements,
    measures: Sequence[EndpointMeasurement],
    profile: RequestProfile,
) -> list[float]:
    """USD per million tokens of this request, with errors, malformed tool calls, 429s and waiting priced in."""
    prompt, completion = max(1, profile.prompt_tokens), _expected_completion(measures, profile)
    per_million = 1e6 / (prompt + completion)
    effective = [
        per_million * scaled_cost(price, prompt * (1.0 - cached), completion, cached=prompt * cached).usd
        for price, cached in zip(prices, levels.cached, strict=True)
    ]
    typical = upper_median(effective, 0.0)
    columns = zip(
        effective, levels.errors, levels.malformed, levels.ttft, levels.rate_limited, levels.wait, strict=True
    )
    return [
        price * (1.0 + ERROR_MULTIPLE * errors + MALFORMED_MULTIPLE * malformed)
        + typical * (TTFT_PER_SECOND * ttft + rate_limit_cost(limited, wait))
        for price, errors, malformed, ttft, limited, wait in columns
    ]


def rate_limit_cost(rate: float, wait_s: float) -> float:
    """What a share ``rate`` of 429s costs, in multiples of a typical price: (wait + penalty) × rate."""
    return (RATE_LIMIT_PER_SECOND * wait_s + RATE_LIMIT_PENALTY) * rate


def shrink_measurements(measures: Sequence[EndpointMeasurement], with_tools: bool = True) -> ShrunkMeasurements:
    """Each endpoint's figures drawn towards its peers' median, the more the less traffic it had.

    A figure that nobody has is the same for all: 0 for rates and waiting, 1 token/s for speed. Tool calls
    are looked at only ``with_tools``.
    """
    latencies, throughputs, requests, errors, limited, waits, tools, malformed, prompts, cached, *_ = zip(
        *measures, strict=True
    )
    own = [n / (n + SHRINKAGE) for n in requests]
    hits = [c / p if p else None for c, p in zip(cached, prompts, strict=True)]
    usual_hits = upper_median([hit for hit in hits if hit is not None], 0.0)
    usual_wait = upper_median([wait for wait, n in zip(waits, limited, strict=True) if n], 0.0)
    return ShrunkMeasurements(
        [usual_hits if hit is None else usual_hits + w * (hit - usual_hits) for hit, w in zip(hits, own, strict=True)],
        _rates(errors, requests),
        _rates(limited, [n + r for n, r in zip(requests, limited, strict=True)]),
        _rates(malformed, tools) if with_tools else [0.0] * len(tools),
        [wait if n else usual_wait for wait, n in zip(waits, limited, strict=True)],
        _medians(latencies, own, 0.0),
        _medians(throughputs, own, 1.0),
    )


def at_distance(levels: ShrunkMeasurements, factors: Sequence[float], completion: float) -> ShrunkMeasurements:
    """``levels`` as they are from a client's region: waits times ``factors``, speeds with that wait included.

    ``completion`` is the tokens of an answer. A speed changes by no more than its factor, whatever was measured.
    """
    if all(factor == 1.0 for factor in factors):
        return levels
    waits = [wait * factor for wait, factor in zip(levels.ttft, factors, strict=True)]
    speeds = []
    for speed, factor, before, after in zip(levels.speed, factors, levels.ttft, waits, strict=True):
        least, most = sorted((1.0, factor))
        slower = min(max(1.0 + (after - before) * speed / completion, least), most)
        speeds.append(speed / slower)
    return levels._replace(ttft=waits, speed=speeds)


def _rates(events: Sequence[int], trials: Sequence[int]) -> list[float]:
    """Events per trial, with ``SHRINKAGE`` trials of a typical peer added to each endpoint's own."""
    usual = SHRINKAGE * upper_median([k / n for k, n in zip(events, trials, strict=True) if n], 0.0)
    return [(k + usual) / (n + SHRINKAGE) for k, n in zip(events, trials, strict=True)]


def _medians(measured: Sequence[Percentiles], own: Sequence[float], otherwise: float) -> list[float]:
    """Weighted geometric means with a typical peer: waits and speeds are skewed, their logarithms are not."""
    medians = [percentiles.p50 for percentiles in measured]
    peer = upper_median([median for median in medians if median], otherwise)
    return [peer * (median / peer) ** w if median else peer for median, w in zip(medians, own, strict=True)]


def _expected_completion(measures: Sequence[EndpointMeasurement], profile: RequestProfile) -> float:
    """Tokens: what the model's answers lately had, capped by what the client allows."""
    answers = sum([m.answers for m in measures])
    tokens = sum([m.completion_tokens for m in measures])
    usual = tokens / answers if answers else TYPICAL_COMPLETION_TOKENS
    return max(1.0, min(usual, profile.planned_limit or usual))
