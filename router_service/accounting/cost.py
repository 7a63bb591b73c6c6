"""Price the usage of a request: integer nano-USD, each charge rounded once, the total is the sum of the charges."""

from __future__ import annotations

from data.catalogue.cost import rounded_nano, scaled_cost
from data.catalogue.types import Price
from data.record.charges import METERS, Charge
from router_service.core.usage import CostBreakdown, Usage


def cost_of(usage: Usage, price: Price) -> CostBreakdown:
    """Return the cost of ``usage`` at ``price``. Counts of cached tokens above the prompt's are cut to it.

    A meter that counted nothing has no charge.
    """
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    cached = min(usage.cached_tokens or 0, prompt)
    written = min(usage.cache_write_tokens or 0, prompt - cached)
    uncached = prompt - cached - written
    parts = scaled_cost(price, uncached, completion, cached=cached, cache_written=written)
    rounded = [rounded_nano(int(part)) for part in parts]
    quantities = (uncached, cached, written, completion)
    charges = [
        Charge(meter, quantity, nano)
        for meter, quantity, nano in zip(METERS, quantities, rounded, strict=True)
        if quantity
    ]
    return CostBreakdown(rounded[0] + rounded[2], rounded[1], rounded[3], charges)
