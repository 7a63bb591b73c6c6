"""Query the catalogue for the endpoints of a model: list prices and regions."""

from __future__ import annotations

import polars as pl

from data.catalogue.addresses import placeholders
from data.catalogue.types import Catalogue, Endpoint

SCHEMA = {"provider": pl.String, "prompt_usd": pl.Float64, "completion_usd": pl.Float64, "processed_in": pl.String}


def offers(model: str, catalogue: Catalogue) -> pl.DataFrame:
    """Return a row for each provider of ``catalogue`` that the router can use.

    One whose address needs an account that is not configured is none of them. Prices are USD per million tokens of its
    cheapest endpoint in the default service tier. Locations of processing are null where not known.
    """
    cheapest: dict[str, tuple[float, float, str | None]] = {}
    for offer in catalogue.endpoints.get(model, ()):
        if offer.enabled and offer.price and not offer.service_tier and not placeholders(offer.base_url or ""):
            row = (offer.price.prompt / 1e9, offer.price.completion / 1e9, _place(offer))
            cheapest[offer.provider] = min(row, cheapest.get(offer.provider, row), key=lambda found: found[:2])
    return pl.DataFrame([(provider, *row) for provider, row in cheapest.items()], schema=SCHEMA, orient="row")


def _place(offer: Endpoint) -> str | None:
    """Return country codes and areas in capitals."""
    known = {place.upper() for place in (offer.region, *offer.datacenters) if place}
    return ", ".join(sorted(known)) or None
