"""Price tokens: the one formula of what a request costs, for bills, plans and simulations alike.

Prices are integer nano-USD per million tokens, as in ``Price``.
"""

from __future__ import annotations

import msgspec

from data.catalogue.types import Price

TOKENS_PER_PRICE = 1_000_000
SCALED_PER_USD = 1e15


class ScaledCost(msgspec.Struct, frozen=True, gc=False):
    """Hold the parts of a cost in nano-USD times a million, so that integers stay integers until one division.

    ``prompt`` holds uncached tokens, ``cache_read`` and ``cache_write`` those read from and written to a prompt cache.
    """

    prompt: float
    cache_read: float
    cache_write: float
    completion: float

    @property
    def usd(self) -> float:
        """Return the sum in USD."""
        return (self.prompt + self.cache_read + self.cache_write + self.completion) / SCALED_PER_USD


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


def rounded_nano(scaled: int) -> int:
    """Return a part of a ``ScaledCost`` in nano-USD, rounded half up."""
    return (scaled + TOKENS_PER_PRICE // 2) // TOKENS_PER_PRICE


def expected_cost_usd(
    prompt_price: float, completion_price: float, prompt_tokens: float, completion_tokens: float
) -> float:
    """Return what a request is expected to cost in USD. Nothing is rounded, since expected tokens are no integers."""
    # A simulated market draws prices that are no integers; ``Price`` does not check.
    return scaled_cost(Price(prompt_price, completion_price), prompt_tokens, completion_tokens).usd  # type: ignore[arg-type]
