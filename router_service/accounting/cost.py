"""Price the usage of a request: integer nano-USD, each part rounded once, the parts sum to the whole."""

from __future__ import annotations

from data.catalogue.cost import scaled_cost
from data.catalogue.types import Price
from router_service.core.usage import CostBreakdown, Usage

TOKENS_PER_PRICE = 1_000_000


def cost_of(usage: Usage, price: Price) -> CostBreakdown:
    """Return the cost of ``usage`` at ``price``. Counts of cached tokens above the prompt's are cut to it."""
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    written = min(usage.cache_write_tokens or 0, usage.prompt_tokens - cached)
    uncached = usage.prompt_tokens - cached - written
    parts = scaled_cost(price, uncached, usage.completion_tokens, cached=cached, cache_written=written)
    return CostBreakdown(*(_rounded(int(part)) for part in parts))


def _rounded(scaled: int) -> int:
    return (scaled + TOKENS_PER_PRICE // 2) // TOKENS_PER_PRICE
