"""Order by tool quality: endpoints whose tool calls or speed are far worse than their peers' are tried last.

Source of tiers, windows and thresholds: the reference's "Auto Exacto". Its third signal, benchmark runs pinned to each
endpoint, is not measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.catalogue.types import Endpoint
from router_service.planning.market_state import UNMEASURED, EndpointMeasurement
from router_service.planning.strategies.price import price_arm
from router_service.planning.strategies.strategy import StrategyInput, StrategyResult, upper_median, usd

GOOD, INSUFFICIENT, DEPRIORITISED = 0, 1, 2
MIN_REQUESTS = 100
MIN_TOOL_REQUESTS = 200
MIN_PEERS = 4
THROUGHPUT_SIGMAS = 1.5
SUCCESS_SIGMAS = 2.0
# A normal distribution has this σ per median absolute deviation.
SIGMA_PER_MAD = 1.4826
# The spread is at least this share of the median: among identical peers any difference would be an outlier.
MIN_SPREAD = 0.01


def choose(inputs: StrategyInput) -> StrategyResult:
    """Share the traffic by price among the best tier of tool quality; ``StrategyInput.tiers`` contain that quality."""
    return StrategyResult(inputs.endpoints, (price_arm(inputs, "exacto"),), usd(inputs.prices))


def quality(endpoints: Sequence[Endpoint], measures: Mapping[str, EndpointMeasurement]) -> list[int]:
    """Return the tier of each endpoint: ``GOOD``, ``INSUFFICIENT`` data, or ``DEPRIORITISED`` by any signal."""
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
    """Return the share of requests with tool calls whose calls were all well-formed, ``None`` for too few requests."""
    if measure.tool_requests < MIN_TOOL_REQUESTS:
        return None
    return 1.0 - measure.malformed / measure.tool_requests


def _threshold(values: Sequence[float | None], sigmas: float) -> float:
    """Return the median less ``sigmas`` robust deviations, or -∞ with fewer than ``MIN_PEERS`` figures."""
    known = [value for value in values if value is not None]
    if len(known) < MIN_PEERS:
        return float("-inf")
    center = upper_median(known)
    deviation = SIGMA_PER_MAD * upper_median([abs(value - center) for value in known])
    return center - sigmas * max(deviation, MIN_SPREAD * center)
