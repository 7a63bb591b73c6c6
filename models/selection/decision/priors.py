"""Shrink the history of each endpoint towards its provider's, that towards its model's, and that towards the market's.

A prior is what is expected of an endpoint before looking at its last minutes. With n observations and the parent's mean
p, a mean m becomes (n·m + k·p) / (n + k), where k is ``SHRINKAGE`` (credibility, Bühlmann 1967). An endpoint without
observations is taken for its provider's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 20.0
# Failures among attempts that are not 429s, 429s among all, ln TTFT in s and ln tokens/s of streams, ln response time
# in s of non-streaming responses, tool calls that broke their schema, the prompt's cost over its list price.
PRIOR_QUANTITIES = ("failure", "limited", "log_ttft", "log_tokens_per_s", "log_whole", "malformed", "prompt_price")
# Length of a response before any was observed.
TYPICAL_OUTPUT_TOKENS = 500.0
# Shares, multiples and logarithms of measurements lie far within; the exponential of a sum of a few stays finite.
MAX_MEAN = 100.0


class Moments(NamedTuple):
    """Hold number of observations, mean and variance of one quantity."""

    observations: float
    mean: float
    variance: float = 0.0


NodeMoments = Mapping[str, Moments]


class ShrunkPrior(NamedTuple):
    """Hold the prior of one endpoint. Shares lie in [0, 1]; spreads are standard deviations within the endpoint.

    ``log_whole`` is ln of the response time of non-streaming responses in s. ``prompt_price`` is a multiple of the list
    price.
    """

    failure: float
    limited: float
    log_ttft: float
    ttft_spread: float
    log_tokens_per_s: float
    throughput_spread: float
    log_whole: float
    response_time_spread: float
    malformed: float
    prompt_price: float


# Moments before any observation: medians of the simulated market, which are those of measurements.
MARKET_MOMENTS: NodeMoments = {
    "failure": Moments(0, 0.03, 0.03),
    "limited": Moments(0, 0.02, 0.02),
    "log_ttft": Moments(0, math.log(0.64), 0.25),
    "log_tokens_per_s": Moments(0, math.log(60.0), 0.25),
    "log_whole": Moments(0, math.log(0.64 + TYPICAL_OUTPUT_TOKENS / 60.0), 0.25),
    "malformed": Moments(0, 0.02, 0.02),
    "prompt_price": Moments(0, 1.0, 0.0),
}
MIN_SPREAD = 0.02


class PriorHierarchy:
    """Hold moments by endpoint, provider and model, and the market's; priors are computed from them on demand.

    ``regions`` holds by (client region, endpoint) how far ln TTFT lies from the endpoint's own.
    """

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
        self._provider_regions = _region_offsets_by_provider(self.regions)
        self._row_of: dict[tuple[str, str, str], int] = {}
        self._rows = np.empty((0, len(ShrunkPrior._fields)))

    def of(self, endpoint: str, provider: str, model: str = "") -> ShrunkPrior:
        """Return the prior of an endpoint, each quantity shrunk by its own number of observations.

        The response time is predicted from TTFT and throughput of a typical response, and corrected by the observed
        difference: an endpoint that has only streamed is known to be fast for non-streaming requests, too.
        """
        means = {name: moments.mean for name, moments in MARKET_MOMENTS.items()} | {"log_whole": 0.0}
        variances = {name: moments.variance for name, moments in MARKET_MOMENTS.items()}
        for node in (self.market, self.models.get(model), self.providers.get(provider), self.endpoints.get(endpoint)):
            for name in PRIOR_QUANTITIES:
                moments = node.get(name) if node else None
                if moments is not None and moments.observations:
                    share = moments.observations / (moments.observations + SHRINKAGE)
                    mean = moments.mean - _log_response_time(means) if name == "log_whole" else moments.mean
                    means[name] += share * (mean - means[name])
                    variances[name] += share * (moments.variance - variances[name])
        means["log_whole"] += _log_response_time(means)
        spreads = {name: max(math.sqrt(variance), MIN_SPREAD) for name, variance in variances.items()}
        return ShrunkPrior(
            ttft_spread=spreads["log_ttft"],
            throughput_spread=spreads["log_tokens_per_s"],
            response_time_spread=spreads["log_whole"],
            **means,
        )

    def rows(self, keys: Sequence[tuple[str, str, str]]) -> NDArray[np.float64]:
        """Return the priors of (endpoint, provider, model) as (n, fields of ``ShrunkPrior``); each is computed once."""
        row_of = self._row_of
        try:
            return self._rows[[row_of[key] for key in keys]]
        except KeyError:
            missing = [key for key in dict.fromkeys(keys) if key not in row_of]
            computed = np.array([self.of(*key) for key in missing])
            row_of.update({key: len(row_of) + place for place, key in enumerate(missing)})
            self._rows = np.concatenate([self._rows, computed])
            return self._rows[[row_of[key] for key in keys]]

    def peer_weights(self, endpoint: str) -> list[float]:
        """Return for each of ``PRIOR_QUANTITIES`` the share of the prior that comes from peers, [0, 1]."""
        node = self.endpoints.get(endpoint, {})
        return [
            SHRINKAGE / (SHRINKAGE + (node[name].observations if name in node else 0.0)) for name in PRIOR_QUANTITIES
        ]

    def region_offset(self, region: str, endpoint: str, provider: str) -> float:
        """Return how much larger ln TTFT is for clients from ``region``, shrunk to the provider's."""
        residual = 0.0
        for moments in (self._provider_regions.get((region, provider)), self.regions.get((region, endpoint))):
            if moments is not None:
                residual += moments.observations / (moments.observations + SHRINKAGE) * (moments.mean - residual)
        return residual


def priors_to_json(priors: PriorHierarchy) -> dict[str, object]:
    """Return what ``policy.json`` holds."""
    return {
        "endpoints": priors.endpoints,
        "providers": priors.providers,
        "models": priors.models,
        "market": priors.market,
        "regions": [[*key, *moments[:2]] for key, moments in priors.regions.items()],
    }


def priors_from_json(content: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> PriorHierarchy:
    """Read the priors of ``policy.json``. Raises on malformed content."""
    endpoints, providers, models = (
        {name: _node(node) for name, node in content[part].items()} for part in ("endpoints", "providers", "models")
    )
    rows: Sequence[tuple[str, str, float, float]] = content["regions"]  # type: ignore[assignment]
    regions = {(region, endpoint): _moments((count, mean)) for region, endpoint, count, mean in rows}
    return PriorHierarchy(endpoints, providers, models, _node(content["market"]), regions)  # type: ignore[arg-type]


def _log_response_time(means: Mapping[str, float]) -> float:
    """Return ln(TTFT + tokens / throughput) by the larger of the two logarithms, whose exponential may overflow."""
    first, rest = means["log_ttft"], math.log(TYPICAL_OUTPUT_TOKENS) - means["log_tokens_per_s"]
    return max(first, rest) + math.log1p(math.exp(-abs(first - rest)))


def _node(content: Mapping[str, Sequence[float]]) -> NodeMoments:
    return {name: _moments(content[name]) for name in PRIOR_QUANTITIES if name in content}


def _moments(figures: Sequence[float]) -> Moments:
    """Return the figures as moments. Raises ``ValueError`` for an impossible count, mean or variance, and for NaN."""
    moments = Moments(*map(float, figures))
    if not (
        0 <= moments.observations < math.inf and abs(moments.mean) <= MAX_MEAN and 0 <= moments.variance < math.inf
    ):
        raise ValueError(f"{list(figures)} are not a count, mean and variance")
    return moments


def _region_offsets_by_provider(regions: Mapping[tuple[str, str], Moments]) -> dict[tuple[str, str], Moments]:
    """Pool the moments of each provider's endpoints; an endpoint's id begins with its provider's name."""
    counts: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (region, endpoint), moments in regions.items():
        total = counts[region, endpoint.partition(":")[0]]
        total[0] += moments.observations
        total[1] += moments.observations * moments.mean
    return {key: Moments(count, total / count) for key, (count, total) in counts.items() if count}
