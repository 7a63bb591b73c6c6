"""Draw the behaviour of each endpoint of the lab from measured distributions, determined by the seed.

Levels: quantiles over the endpoints of ``openrouter_endpoint_stats_2025-07`` (MIT). Spread within an
endpoint and failure rates: LLMPerf's single requests (Apache-2.0). ``benchmarks/derive_lab_parameters.py``
computes the table from these files.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@cache
def parameters() -> dict[str, Any]:
    """Return the table of ``parameters.toml``."""
    return tomllib.loads(resources.files("lab").joinpath("parameters.toml").read_text())


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Behaviour of one endpoint.

    TTFT (s) and throughput (tokens/s) are log-normal with the given medians; rates are shares of requests.
    """

    ttft_median_s: float
    ttft_sigma: float
    tokens_per_s: float
    tokens_sigma: float
    error_rate: float
    rate_limit_rate: float
    outage_every_s: float
    outage_length_s: float
    phase_s: float

    def ttft(self, dice: random.Random) -> float:
        return self.ttft_median_s * dice.lognormvariate(0, self.ttft_sigma)

    def throughput(self, dice: random.Random) -> float:
        return self.tokens_per_s * dice.lognormvariate(0, self.tokens_sigma)

    def is_out(self, now_s: float) -> bool:
        """Return true if the endpoint has an outage ``now_s`` seconds after the lab's start."""
        return (now_s + self.phase_s) % self.outage_every_s < self.outage_length_s


@cache
def behaviour_of(endpoint: str, seed: int) -> Behaviour:
    """Return the behaviour of the endpoint ``provider:model``."""
    table = parameters()
    dice = random.Random(f"{seed}/{endpoint}")
    every = dice.uniform(*table["outage"]["every_s"])
    return Behaviour(
        ttft_median_s=_quantile(table["ttft_s"], dice.random()),
        ttft_sigma=_quantile(table["ttft_sigma"], dice.random()),
        tokens_per_s=_quantile(table["tokens_per_s"], dice.random()),
        tokens_sigma=_quantile(table["tokens_sigma"], dice.random()),
        error_rate=_quantile(table["error_rate"], dice.random()),
        rate_limit_rate=_quantile(table["rate_limit_rate"], dice.random()),
        outage_every_s=every,
        outage_length_s=dice.uniform(*table["outage"]["length_s"]),
        phase_s=dice.uniform(0, every),
    )


def _quantile(table: dict[str, Any], level: float) -> float:
    """Interpolate linearly in a table of ``levels`` and ``values``."""
    levels, values = table["levels"], table["values"]
    for (low, a), (high, b) in zip(
        zip(levels, values, strict=True), zip(levels[1:], values[1:], strict=True), strict=False
    ):
        if level <= high:
            return float(a + (b - a) * (level - low) / (high - low))
    return float(values[-1])
