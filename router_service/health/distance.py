"""Learn network distance: how much later an endpoint's first token comes for one client region than for the others.

ln TTFT is modelled as the endpoint's mean plus the region's mean plus a remainder; the remainder is the distance. The
region's mean absorbs whatever makes its clients slower everywhere, such as longer prompts, and changes no order.
"""

from __future__ import annotations

import math

from models.selection.decision.outcome import log_measured

# Observations after which a mean forgets: prices and loads move an endpoint's level faster than a cable is laid.
LEVEL_HORIZON = 50
REGION_HORIZON = 500
DISTANCE_HORIZON = 200
SHRINKAGE = 20.0
MIN_OBSERVATIONS = 5
MAX_REGIONS = 16
# Limit of what a single TTFT contributes, as ln: a factor of 7.4.
MAX_RESIDUAL = 2.0


class RunningMean:
    """Average about the last ``horizon`` values; the first ones form a plain mean."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def add(self, value: float, horizon: int) -> None:
        """Include ``value``."""
        if self.count < horizon:
            self.count += 1
        self.value += (value - self.value) / self.count

    def shrunk_to(self, prior: float) -> float:
        """Return ``value`` at weight n/(n+20) plus ``prior`` at the remaining weight."""
        own = self.count / (self.count + SHRINKAGE)
        return own * self.value + (1.0 - own) * prior


class _Region:
    __slots__ = ("distances", "level", "providers")

    def __init__(self) -> None:
        self.level = RunningMean()
        self.distances: dict[str, RunningMean] = {}
        self.providers: dict[str, RunningMean] = {}


class NetworkDistances:
    """Estimate the distance of each endpoint from each of the first ``MAX_REGIONS`` regions that clients come from."""

    def __init__(self) -> None:
        self._levels: dict[str, RunningMean] = {}
        self._regions: dict[str, _Region] = {}

    def add(self, endpoint: str, client_region: str | None, ttft_s: float) -> None:
        """Count the TTFT of one stream in seconds. Without a region it contributes to the endpoint's mean alone."""
        log = log_measured(ttft_s)
        if log is None:
            return
        level = self._levels.get(endpoint)
        if level is None:
            level = self._levels[endpoint] = RunningMean()
        elif client_region is not None:
            self._add_residual(endpoint, client_region, min(max(log - level.value, -MAX_RESIDUAL), MAX_RESIDUAL))
        level.add(log, LEVEL_HORIZON)

    def factor(self, endpoint: str, client_region: str | None) -> float:
        """Return what multiplies the endpoint's usual TTFT for clients of the region; 1 without data.

        An endpoint with few observations gets the factor of its provider.
        """
        region = self._regions.get(client_region or "")
        if region is None:
            return 1.0
        provider = region.providers.get(_provider(endpoint))
        if provider is None or provider.count < MIN_OBSERVATIONS:
            return 1.0
        usual = provider.shrunk_to(0.0)
        own = region.distances.get(endpoint)
        return math.exp(own.shrunk_to(usual) if own else usual)

    def _add_residual(self, endpoint: str, client_region: str, residual: float) -> None:
        region = self._regions.get(client_region)
        if region is None:
            if len(self._regions) >= MAX_REGIONS:
                return
            region = self._regions[client_region] = _Region()
        region.level.add(residual, REGION_HORIZON)
        distance = residual - region.level.value
        for means, name in ((region.distances, endpoint), (region.providers, _provider(endpoint))):
            mean = means.get(name)
            if mean is None:
                mean = means[name] = RunningMean()
            mean.add(distance, DISTANCE_HORIZON)


def _provider(endpoint: str) -> str:
    return endpoint.partition(":")[0]
