"""Tool quality first: endpoints whose tool calls or speed fall far behind their peers are tried last.

Source of tiers, windows and thresholds: the reference's "Auto Exacto". Its third signal, benchmark runs pinned
to each endpoint, is not measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.catalogue.types import Endpoint
from router_service.planning.market_state import UNMEASURED, EndpointMeasurement
from router_service.planning.strategies.price import arm
from router_service.planning.strategies.strategy import StrategyInput, StrategyResult, upper_median, usd

GOOD, INSUFFICIENT, DEPRIORITISED = 0, 1, 2
MIN_REQUESTS = 100
MIN_TOOL_REQUESTS = 200
MIN_PEERS = 4
THROUGHPUT_SIGMAS = 1.5
SUCCESS_SIGMAS = 2.0
# σ of a normal distribution per median absolute deviation.
SIGMA_PER_MAD = 1.4826
# Peers that agree to the last digit would make any difference an outlier: at least this share of the median.
MIN_SPREAD = 0.01


def choose(slate: StrategyInput) -> StrategyResult:
    """Price shares over the best tier of tool quality; the tiers are in the slate."""
    return StrategyResult(slate.endpoints, (arm(slate, "exacto"),), usd(slate.prices))


def quality(endpoints: Sequence[Endpoint], measures: Mapping[str, EndpointMeasurement]) -> list[int]:
    """Tier of each endpoint: ``GOOD``, ``INSUFFICIENT`` data, or ``DEPRIORITISED`` by any signal."""
    found = [measures.get(e.id, UNMEASURED) for e in endpoints]
    speeds = [m.throughput.p50 if m.requests >= MIN_REQUESTS else None for m in found]
    successes = [_success(m) for m in found]
    slow = _threshold(speeds, THROUGHPUT_SIGMAS)
    broken = _threshold(successes, SUCCESS_SIGMAS)
    tiers = []
    for measure, speed, success in zip(found, speeds, successes, strict=True):
        if (speed is not None and speed < slow) or (success is not None and success < broken):
            tiers.append(DEPRIORITISED)
        elif measure.requests < MIN_REQUESTS and measure.tool_requests < MIN_TOOL_REQUESTS:
            tiers.append(INSUFFICIENT)
        else:
            tiers.append(GOOD)
    return tiers


def _success(measure: EndpointMeasurement) -> float | None:
    """Share of the requests ending in tool calls whose calls were all well-formed."""
    if measure.tool_requests < MIN_TOOL_REQUESTS:
        return None
    return 1.0 - measure.malformed / measure.tool_requests


def _threshold(values: Sequence[float | None], sigmas: float) -> float:
    """Median less ``sigmas`` robust deviations; with fewer than ``MIN_PEERS`` figures nothing is below it."""
    known = [value for value in values if value is not None]
    if len(known) < MIN_PEERS:
        return float("-inf")
    center = upper_median(known)
    deviation = SIGMA_PER_MAD * upper_median([abs(value - center) for value in known])
    return center - sigmas * max(deviation, MIN_SPREAD * center)
