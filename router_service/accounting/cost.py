"""Tokens to money: integer nano-USD, each part rounded once, the parts sum to the whole."""

from __future__ import annotations

from data.catalogue.types import Price
from router_service.core.usage import CostBreakdown, Usage

TOKENS_PER_PRICE = 1_000_000


def cost_of(usage: Usage, price: Price) -> CostBreakdown:
    """Cost of ``usage`` at ``price``. Cached tokens without a price of their own cost what prompt tokens do."""
    if not usage.cached_tokens and not usage.cache_write_tokens:
        prompt, completion = usage.prompt_tokens * price.prompt, usage.completion_tokens * price.completion
        return CostBreakdown(_nano(prompt), 0, _nano(completion))
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    written = min(usage.cache_write_tokens or 0, usage.prompt_tokens - cached)
    plain = usage.prompt_tokens - cached - written
    write_price = price.prompt if price.cache_write is None else price.cache_write
    read_price = price.prompt if price.cache_read is None else price.cache_read
    return CostBreakdown(
        prompt=_nano(plain * price.prompt + written * write_price),
        cached=_nano(cached * read_price),
        completion=_nano(usage.completion_tokens * price.completion),
    )


def _nano(scaled: int) -> int:
    return (scaled + TOKENS_PER_PRICE // 2) // TOKENS_PER_PRICE
