"""Add the service tiers: the same model at the same provider, faster at a higher price or slower at a lower one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from data.catalogue.pricing import nano
from data.catalogue.types import DEFAULT_TIER, Endpoint, Price


@cache
def _facts() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("tiers.toml").read_text())


def tier_prices(provider: str, upstream_model: str) -> dict[str, Price]:
    """Return the list price of each tier that ``provider`` is known to sell the model in; see ``tiers.toml``."""
    found = {tier: rows.get(upstream_model) for tier, rows in _facts().get(provider, {}).items()}
    return {tier: _price(**row) for tier, row in found.items() if row}


def _price(input: float, output: float, cached: float | None = None) -> Price:
    return Price(nano(input), nano(output), None if cached is None else nano(cached))


def tier_of(endpoint: str) -> str | None:
    """Return the service tier that an endpoint's id names, or ``None``."""
    tier = endpoint.rpartition("@")[2]
    return tier if any(tier in rows for rows in _facts().values()) else None


def with_tiers(endpoints: Mapping[str, tuple[Endpoint, ...]]) -> dict[str, tuple[Endpoint, ...]]:
    """Return ``endpoints`` with one more for each tier, directly after the endpoint that sells the tier."""
    return {model: tuple(e for offer in offers for e in _tiers_of(offer)) for model, offers in endpoints.items()}


def _tiers_of(offer: Endpoint) -> tuple[Endpoint, ...]:
    prices = tier_prices(offer.provider, offer.upstream_model)
    if not prices or offer.price is None:
        return (offer,)
    every = ((DEFAULT_TIER, offer.price), *prices.items())
    offer = msgspec.structs.replace(offer, tier_prices=every)
    base = offer.tag.partition("/")[0]
    return offer, *(
        msgspec.structs.replace(offer, id=f"{offer.id}@{tier}", tag=f"{base}/{tier}", service_tier=tier, price=price)
        for tier, price in prices.items()
    )
