"""Apply soft cut-offs on speed: an endpoint that misses one is tried after those that do not."""

from __future__ import annotations

from router_service.core.preferences import Percentiles, Preferences
from router_service.planning.market_state import EndpointMeasurement

MEETS, UNKNOWN, MISSES = 0, 1, 2
NAMES = ("p50", "p75", "p90", "p99")


def wants_speed(preferences: Preferences) -> bool:
    """Return whether the request sets a cut-off on speed."""
    return preferences.preferred_min_throughput is not None or preferences.preferred_max_latency is not None


def cutoff_penalty(preferences: Preferences, measure: EndpointMeasurement) -> int:
    """Return ``MEETS``, ``UNKNOWN`` if a required figure is not measured, or ``MISSES``.

    All given cut-offs must be met; a bare number applies to the median.
    """
    return max(
        _compare(preferences.preferred_max_latency, measure.latency, sign=1),
        _compare(preferences.preferred_min_throughput, measure.throughput, sign=-1),
    )


def _compare(wanted: float | Percentiles | None, measured: Percentiles, sign: int) -> int:
    if wanted is None:
        return MEETS
    limits = wanted if isinstance(wanted, Percentiles) else Percentiles(p50=wanted)
    worst = MEETS
    for name in NAMES:
        limit, found = getattr(limits, name), getattr(measured, name)
        if limit is not None:
            worst = max(worst, UNKNOWN if found is None else MISSES if sign * found > sign * limit else MEETS)
    return worst
