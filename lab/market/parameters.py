"""Read the parameters of the synthetic market, and compute from them what pages should show."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

PROGRAMMING = "programming"
WEEKS_PER_MONTH = 365.25 / 12 / 7


class Market(msgspec.Struct, frozen=True):
    """Hold the figures of the market as a whole; see the comments of ``parameters.toml``."""

    seed: int
    requests_growth: float
    prompt_tokens: tuple[float, float]
    completion_tokens: tuple[float, float]
    tokens_sigma: float
    elasticity: float
    requests_per_user_month: float
    won_from_predecessor: float
    labelled: float
    cached: float
    cache_use: float
    cache_price: float
    further_provider_price: float
    weekend: float
    tool_calls: tuple[float, float]
    images: float


class MarketProvider(msgspec.Struct, frozen=True):
    """Describe a provider: share, TTFT (s), speed (tokens/s), shares of failures, outages a month and their hours."""

    requests_share: float
    ttft: float
    speed: float
    errors: float
    rate_limits: float
    outages: float
    outage_hours: float


class MarketModel(msgspec.Struct, frozen=True, rename={"begins": "from"}):
    """Describe a model; months are counted back from the end."""

    weight: float
    begins: float
    providers: tuple[str, ...]
    price: tuple[float, float]
    half_life: float
    until: float = 0.0
    ramp: float = 0.0
    foundational: bool = False
    reasoning: bool = False
    wins_from: str | None = None
    price_cuts: tuple[tuple[float, float], ...] = ()


class Parameters(msgspec.Struct, frozen=True):
    """Hold all parameters of a market."""

    market: Market
    categories: dict[str, float]
    prompt_length: dict[str, float]
    countries: dict[str, float]
    languages: dict[str, float]
    task_tags: dict[str, dict[str, float]]
    programming_languages: dict[str, float]
    retention: dict[str, tuple[float, ...]]
    programming: dict[str, tuple[float, float]]
    providers: dict[str, MarketProvider]
    models: dict[str, MarketModel]

    def price_factor(self, model: MarketModel, months_left: Any) -> Any:
        """Return the price over the one at launch, at moments so many months before the end."""
        factor = np.ones_like(months_left)
        for since, cut in model.price_cuts:
            factor = np.where(months_left <= since, factor * cut, factor)
        return factor

    def shares(self, months_left: Any) -> Any:
        """Return the token share of each model (rows) at moments so many months before the end (columns)."""
        left = np.asarray(months_left, float)
        weights = []
        for model in self.models.values():
            age = model.begins - left
            alive = (age >= 0) & (left >= model.until)
            ramp = np.clip(age * WEEKS_PER_MONTH / model.ramp, 0.05, 1) if model.ramp else 1.0
            decay = 0.5 ** (np.maximum(age - model.ramp / WEEKS_PER_MONTH, 0) / model.half_life)
            price = self.price_factor(model, left) ** self.market.elasticity
            weights.append(np.where(alive, model.weight * ramp * decay * price, 0.0))
        made = np.array(weights)
        return made / made.sum(axis=0)

    def category_shares(self, author: str, done: float) -> dict[str, float]:
        """Return the share of an author's requests by category, when ``done`` of the whole time (0 to 1) has passed."""
        start, end = self.programming[author]
        programming = start + (end - start) * done
        rest = sum(self.categories.values())
        return {PROGRAMMING: programming} | {
            name: (1 - programming) * share / rest for name, share in self.categories.items()
        }

    def length(self, author: str, done: float) -> float:
        """Return an author's mean prompt over that of a category of length 1."""
        shares = self.category_shares(author, done)
        return sum(share * self.prompt_length.get(name, 1.0) for name, share in shares.items())


@lru_cache(1)
def read_parameters() -> Parameters:
    """Return the parameters of ``parameters.toml``. Raises ``msgspec.ValidationError`` for a fault in it."""
    text = resources.files("lab.market").joinpath("parameters.toml").read_text()
    return msgspec.convert(tomllib.loads(text), Parameters)
