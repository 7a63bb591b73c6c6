"""Network distance: how much later an endpoint's first token comes for one client region than for the others.

ln TTFT is taken as the endpoint's own mean plus the region's plus what is left. The last is the distance. That a
region's clients send longer prompts, or are far from everyone, is in the second, which changes no order.
"""

from __future__ import annotations

import math

from models.selection.decision.outcome import log_measured

# Observations. Beyond them a mean forgets: prices and loads move an endpoint's level faster than a cable is laid.
LEVEL_HORIZON = 50
REGION_HORIZON = 500
DISTANCE_HORIZON = 200
SHRINKAGE = 20.0
FEWEST = 5
MOST_REGIONS = 16
# A single wait says at most this, as ln: a factor of 7.4.
CLIP = 2.0


class Mean:
    """Of the last ``horizon`` values or so; of the first ones the plain mean."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def add(self, value: float, horizon: int) -> None:
        if self.count < horizon:
            self.count += 1
        self.value += (value - self.value) / self.count

    def drawn_to(self, prior: float) -> float:
        """``value`` at weight n/(n+20), ``prior`` for the rest."""
        own = self.count / (self.count + SHRINKAGE)
        return own * self.value + (1.0 - own) * prior


class _Region:
    __slots__ = ("distances", "level", "providers")

    def __init__(self) -> None:
        self.level = Mean()
        self.distances: dict[str, Mean] = {}
        self.providers: dict[str, Mean] = {}


class Distances:
    """Of each endpoint from each of the first ``MOST_REGIONS`` regions that clients come from."""

    def __init__(self) -> None:
        self._levels: dict[str, Mean] = {}
        self._regions: dict[str, _Region] = {}

    def add(self, endpoint: str, client_region: str | None, ttft_s: float) -> None:
        """Count the wait of one streamed answer. Those of clients from nowhere known belong to the endpoint's mean."""
        log = log_measured(ttft_s)
        if log is None:
            return
        level = self._levels.get(endpoint)
        if level is None:
            level = self._levels[endpoint] = Mean()
        elif client_region is not None:
            self._place(endpoint, client_region, min(max(log - level.value, -CLIP), CLIP))
        level.add(log, LEVEL_HORIZON)

    def factor(self, endpoint: str, client_region: str | None) -> float:
        """What to multiply the endpoint's usual wait by. 1 without data; a thin endpoint has its provider's."""
        region = self._regions.get(client_region or "")
        if region is None:
            return 1.0
        provider = region.providers.get(_provider(endpoint))
        if provider is None or provider.count < FEWEST:
            return 1.0
        usual = provider.drawn_to(0.0)
        own = region.distances.get(endpoint)
        return math.exp(own.drawn_to(usual) if own else usual)

    def _place(self, endpoint: str, client_region: str, residual: float) -> None:
        region = self._regions.get(client_region)
        if region is None:
            if len(self._regions) >= MOST_REGIONS:
                return
            region = self._regions[client_region] = _Region()
        region.level.add(residual, REGION_HORIZON)
        distance = residual - region.level.value
        for means, name in ((region.distances, endpoint), (region.providers, _provider(endpoint))):
            mean = means.get(name)
            if mean is None:
                mean = means[name] = Mean()
            mean.add(distance, DISTANCE_HORIZON)


def _provider(endpoint: str) -> str:
    return endpoint.partition(":")[0]
