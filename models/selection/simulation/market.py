"""Draw a market of endpoints from measured moments. Everything made from it is simulation.

``market.toml`` holds the moments with their sources; ``benchmarks/derive_market_parameters.py`` writes it.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from data.catalogue.cost import SCALED_PER_USD
from models.selection.decision.arrays import Floats
from models.selection.decision.utility import USD_PER_SECOND
from models.selection.simulation.simulated_policy import (
    SECONDS_PER_FAILURE,
    TYPICAL_COMPLETION_TOKENS,
    typical_cost_usd,
)

PROVIDERS = 12
# Moments were not measured beyond so many standard deviations.
TRIM_SD = 2.0


Table = Mapping[str, Any]


@cache
def _measured() -> Table:
    return tomllib.loads(resources.files("models.selection.simulation").joinpath("market.toml").read_text())


_altered: ContextVar[Table | None] = ContextVar("altered", default=None)


def parameters() -> Table:
    """Return ``market.toml``, with the changes of ``altered`` where one is active."""
    return _altered.get() or _measured()


@contextmanager
def altered(changes: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Draw markets from other moments inside this context. ``changes`` are fields of tables of ``market.toml``.

    Raises ``ValueError`` on an unknown field.
    """
    table = parameters()
    unknown = [f"{name}.{field}" for name, fields in changes.items() for field in fields if field not in table[name]]
    if unknown:
        raise ValueError(f"market.toml has no {', '.join(unknown)}")
    token = _altered.set({**table, **{name: {**table[name], **fields} for name, fields in changes.items()}})
    try:
        yield
    finally:
        _altered.reset(token)


class SimulatedEndpoint(NamedTuple):
    """Describe an endpoint. Prices are nano-USD per million tokens; rates and ``busy_share`` are shares.

    TTFT and throughput are log-normal: a median and the standard deviation of the logarithm. ``capacity`` is in
    requests a second; ``busy_share`` is the share of time in which other clients exhaust it.
    """

    name: str
    provider: str
    region: str
    model: int
    prompt_price: float
    completion_price: float
    ttft_s: float
    ttft_sigma: float
    tokens_per_s: float
    tokens_sigma: float
    error_rate: float
    malformed_rate: float
    capacity: float
    busy_share: float

    @property
    def typical_cost_usd(self) -> float:
        """Return the cost of a request of typical size in USD."""
        return typical_cost_usd(self.prompt_price, self.completion_price)

    @property
    def typical_loss_s(self) -> float:
        """Return the expected loss of a typical request in quiet times, in seconds."""
        latency = self.ttft_s * math.exp(self.ttft_sigma**2 / 2) + TYPICAL_COMPLETION_TOKENS / self.tokens_per_s
        return self.typical_cost_usd / USD_PER_SECOND + latency + SECONDS_PER_FAILURE * self.error_rate


def draw_market(seed: int, models: int, endpoints_per_model: int) -> list[SimulatedEndpoint]:
    """Draw ``models`` × ``endpoints_per_model`` endpoints, those of a model side by side, determined by the seed."""
    rng = np.random.default_rng([seed, 1])
    table = parameters()
    regions = rng.choice(table["authored"]["regions"], PROVIDERS)
    found = []
    for model in range(models):
        providers = rng.choice(PROVIDERS, endpoints_per_model, replace=False)
        ttft, speed, price = _levels(rng, endpoints_per_model)
        capacity = _capacity(rng, endpoints_per_model) * table["traffic"]["requests_per_s"] / models
        busy = [_share(np.random.default_rng([seed, 4, model, place]), "busy_share") for place in range(len(providers))]
        for place, provider in enumerate(providers):
            found.append(
                SimulatedEndpoint(
                    name=f"p{provider}:m{model}",
                    provider=f"p{provider}",
                    region=str(regions[provider]),
                    model=model,
                    prompt_price=price[place] * table["prompt_to_completion_price"],
                    completion_price=price[place],
                    ttft_s=ttft[place],
                    ttft_sigma=_quantile(rng, "ttft_sigma"),
                    tokens_per_s=speed[place],
                    tokens_sigma=_quantile(rng, "tokens_sigma"),
                    error_rate=_share(rng, "error_rate"),
                    malformed_rate=table["authored"]["malformed_rate"],
                    capacity=capacity[place],
                    busy_share=busy[place],
                )
            )
    return found


def _levels(rng: np.random.Generator, count: int) -> tuple[list[float], list[float], list[float]]:
    """Draw TTFT, throughput and completion price of a model's endpoints, correlated within the model as measured."""
    table = parameters()
    a, b, c = table["correlations"]
    correlated = rng.multivariate_normal(np.zeros(3), [[1, a, b], [a, 1, c], [b, c, 1]], count)
    columns = []
    for name, within in zip(("ttft_s", "tokens_per_s", "completion_usd"), correlated.T, strict=True):
        moments = table[name]
        about = moments["between"] * _trimmed(rng.normal()) + moments["within"] * _trimmed(within)
        columns.append((moments["median"] * np.exp(about)).tolist())
    return columns[0], columns[1], [usd * SCALED_PER_USD for usd in columns[2]]


def _trimmed(values: float | Floats) -> Floats:
    return np.clip(values, -TRIM_SD, TRIM_SD)


def _quantile(rng: np.random.Generator, name: str) -> float:
    spread = parameters()["spread"]
    return float(np.interp(rng.random(), spread["levels"], spread[name]))


def _share(rng: np.random.Generator, name: str) -> float:
    """Draw from the log-normal distribution through the median and the 90th percentile of ``name``."""
    table = parameters()["authored"][name]
    sd = math.log(table["p90"] / table["median"]) / 1.2816  # the normal distribution's 90th percentile
    return min(float(table["median"]) * math.exp(sd * float(_trimmed(rng.normal()))), 0.5)


def _capacity(rng: np.random.Generator, count: int) -> Floats:
    table = parameters()["authored"]["capacity"]
    capacity: Floats = np.maximum(table["median"] * np.exp(rng.normal(0, table["sd"], count)), table["least"])
    return capacity
