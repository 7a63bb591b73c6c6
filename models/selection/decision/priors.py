"""The past of each endpoint, shrunk towards its provider's, that towards its model's, that towards the market's.

A level is what is believed of an endpoint before looking at its last minutes. With n observations and a peer's level
p a mean m becomes (n·m + k·p) / (n + k), k = ``SHRINKAGE``: an endpoint never seen is taken for its provider's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 20.0
# Failures among attempts that are not 429s, 429s among all, ln TTFT in s and ln tokens a second of streams, ln of the
# time of whole answers in s, tool calls that broke their schema, the prompt's cost over its list price.
PRIOR_QUANTITIES = ("failure", "limited", "log_ttft", "log_tokens_per_s", "log_whole", "malformed", "prompt_price")
# Length of an answer before any was seen.
TYPICAL_OUTPUT_TOKENS = 500.0
# Shares, multiples and logarithms of anything measured lie far within; e to a sum of a few of these is still a number.
MOST_MEAN = 100.0


class Moments(NamedTuple):
    """Of one quantity: how often it was seen, its mean and its variance."""

    seen: float
    mean: float
    variance: float = 0.0


NodeMoments = Mapping[str, Moments]


class ShrunkPrior(NamedTuple):
    """Shares in [0, 1]; spreads are standard deviations within the endpoint; ``prompt_price`` a multiple.

    ``log_whole`` is ln of the time that an answer takes which is not streamed.
    """

    failure: float
    limited: float
    log_ttft: float
    ttft_spread: float
    log_tokens_per_s: float
    pace_spread: float
    log_whole: float
    whole_spread: float
    malformed: float
    prompt_price: float


# Before anything is seen at all: medians of the simulated market, which are those of measurements.
MARKET_MOMENTS: NodeMoments = {
    "failure": Moments(0, 0.03, 0.03),
    "limited": Moments(0, 0.02, 0.02),
    "log_ttft": Moments(0, math.log(0.64), 0.25),
    "log_tokens_per_s": Moments(0, math.log(60.0), 0.25),
    "log_whole": Moments(0, math.log(0.64 + TYPICAL_OUTPUT_TOKENS / 60.0), 0.25),
    "malformed": Moments(0, 0.02, 0.02),
    "prompt_price": Moments(0, 1.0, 0.0),
}
LEAST_SPREAD = 0.02


class PriorHierarchy:
    """Pasts by endpoint, provider and model, the market's, and by (client region, endpoint) how far from its own
    the endpoint's ln TTFT lies there. PriorHierarchy are made of them when they are asked for."""

    def __init__(
        self,
        endpoints: Mapping[str, NodeMoments],
        providers: Mapping[str, NodeMoments],
        models: Mapping[str, NodeMoments],
        market: NodeMoments = MARKET_MOMENTS,
        regions: Mapping[tuple[str, str], Moments] | None = None,
    ) -> None:
        self.endpoints, self.providers, self.models, self.market = endpoints, providers, models, market
        self.regions = regions or {}
        self._by_provider = _by_provider(self.regions)
        self._places: dict[tuple[str, str, str], int] = {}
        self._rows = np.empty((0, len(ShrunkPrior._fields)))

    def of(self, endpoint: str, provider: str, model: str = "") -> ShrunkPrior:
        """Each quantity by its own count of observations.

        The time of a whole answer is what TTFT and pace make of a typical one, and how far it was seen to lie from
        that: an endpoint that has only streamed is known to be quick for those who do not stream.
        """
        means = {name: past.mean for name, past in MARKET_MOMENTS.items()} | {"log_whole": 0.0}
        variances = {name: past.variance for name, past in MARKET_MOMENTS.items()}
        for node in (self.market, self.models.get(model), self.providers.get(provider), self.endpoints.get(endpoint)):
            for name in PRIOR_QUANTITIES:
                past = node.get(name) if node else None
                if past is not None and past.seen:
                    share = past.seen / (past.seen + SHRINKAGE)
                    seen = past.mean - _log_whole(means) if name == "log_whole" else past.mean
                    means[name] += share * (seen - means[name])
                    variances[name] += share * (past.variance - variances[name])
        means["log_whole"] += _log_whole(means)
        spreads = {name: max(math.sqrt(variance), LEAST_SPREAD) for name, variance in variances.items()}
        return ShrunkPrior(
            ttft_spread=spreads["log_ttft"],
            pace_spread=spreads["log_tokens_per_s"],
            whole_spread=spreads["log_whole"],
            **means,
        )

    def rows(self, keys: Sequence[tuple[str, str, str]]) -> NDArray[np.float64]:
        """PriorHierarchy of (endpoint, provider, model) as (n, fields of ``ShrunkPrior``); each is made once."""
        places = self._places
        try:
            return self._rows[[places[key] for key in keys]]
        except KeyError:
            missing = [key for key in dict.fromkeys(keys) if key not in places]
            made = np.array([self.of(*key) for key in missing])
            places.update({key: len(places) + place for place, key in enumerate(missing)})
            self._rows = np.concatenate([self._rows, made])
            return self._rows[[places[key] for key in keys]]

    def ignorance(self, endpoint: str) -> list[float]:
        """Of each of ``PRIOR_QUANTITIES`` what part of its level is the peers', for want of observations of its own."""
        node = self.endpoints.get(endpoint, {})
        return [SHRINKAGE / (SHRINKAGE + (node[name].seen if name in node else 0.0)) for name in PRIOR_QUANTITIES]

    def region(self, region: str, endpoint: str, provider: str) -> float:
        """How much slower ln TTFT is for clients from ``region``; of an endpoint little seen there its provider's."""
        residual = 0.0
        for past in (self._by_provider.get((region, provider)), self.regions.get((region, endpoint))):
            if past is not None:
                residual += past.seen / (past.seen + SHRINKAGE) * (past.mean - residual)
        return residual


def to_json(levels: PriorHierarchy) -> dict[str, object]:
    """As ``policy.json`` holds them."""
    return {
        "endpoints": levels.endpoints,
        "providers": levels.providers,
        "models": levels.models,
        "market": levels.market,
        "regions": [[*key, *past[:2]] for key, past in levels.regions.items()],
    }


def from_json(content: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> PriorHierarchy:
    """The inverse. Raises on whatever it is not."""
    endpoints, providers, models = (
        {name: _node(node) for name, node in content[part].items()} for part in ("endpoints", "providers", "models")
    )
    rows: Sequence[tuple[str, str, float, float]] = content["regions"]  # type: ignore[assignment]
    regions = {(region, endpoint): _past((count, mean)) for region, endpoint, count, mean in rows}
    return PriorHierarchy(endpoints, providers, models, _node(content["market"]), regions)  # type: ignore[arg-type]


def _log_whole(means: Mapping[str, float]) -> float:
    """Return ln(TTFT + tokens / throughput) by the larger of the two logarithms, whose exponential may overflow."""
    first, rest = means["log_ttft"], math.log(TYPICAL_OUTPUT_TOKENS) - means["log_tokens_per_s"]
    return max(first, rest) + math.log1p(math.exp(-abs(first - rest)))


def _node(content: Mapping[str, Sequence[float]]) -> NodeMoments:
    return {name: _past(content[name]) for name in PRIOR_QUANTITIES if name in content}


def _past(figures: Sequence[float]) -> Moments:
    """Raises ``ValueError`` on what no count, mean and variance can be, NaN and infinities among them."""
    past = Moments(*map(float, figures))
    if not (0 <= past.seen < math.inf and abs(past.mean) <= MOST_MEAN and 0 <= past.variance < math.inf):
        raise ValueError(f"{list(figures)} are no count, mean and variance of a level")
    return past


def _by_provider(regions: Mapping[tuple[str, str], Moments]) -> dict[tuple[str, str], Moments]:
    """Of each provider's endpoints together; an endpoint's id begins with its provider's name."""
    counts: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (region, endpoint), past in regions.items():
        total = counts[region, endpoint.partition(":")[0]]
        total[0] += past.seen
        total[1] += past.seen * past.mean
    return {key: Moments(count, total / count) for key, (count, total) in counts.items() if count}
