"""Price tokens: the one formula of what a request costs, for bills, plans and simulations alike."""

from __future__ import annotations

from typing import NamedTuple

from data.catalogue.types import Price

USD_PER_SCALED = 1e-15


class ScaledCost(NamedTuple):
    """Hold the parts of a cost in nano-USD times a million, so that integers stay integers until one division.

    ``prompt`` holds uncached tokens, ``cache_read`` and ``cache_write`` those read from and
    written to a prompt cache.
    """

    prompt: float
    cache_read: float
    cache_write: float
    completion: float

    @property
    def usd(self) -> float:
        """Return the sum in USD."""
        return sum(self) * USD_PER_SCALED


def scaled_cost(
    price: Price, uncached: float, completion: float, *, cached: float = 0, cache_written: float = 0
) -> ScaledCost:
    """Return what tokens of each kind cost at ``price``; cached ones without a price of their own cost as prompt."""
    prompt, read, write = price.prompt, price.cache_read, price.cache_write
    return ScaledCost(
        uncached * prompt,
        cached * (prompt if read is None else read),
        cache_written * (prompt if write is None else write),
        completion * price.completion,
    )
