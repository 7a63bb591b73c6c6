"""Price the usage of a request: integer nano-USD, each charge rounded once, the total is the sum of the charges."""

from __future__ import annotations

from data.catalogue.cost import rounded_nano, scaled_cost
from data.catalogue.types import Price
from data.record.charges import COMPLETION, INPUT_CACHE_READ, INPUT_CACHE_WRITE, PROMPT, Charge
from router_service.core.route_trace import HedgeLoser
from router_service.core.usage import CostBreakdown, Usage


def cost_of(usage: Usage, price: Price) -> CostBreakdown:
    """Return the cost of ``usage`` at ``price``. Counts of cached tokens above the prompt's are cut to it.

    A meter that counted nothing has no charge.
    """
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    cached = min(usage.cached_tokens, prompt) if usage.cached_tokens else 0
    written = min(usage.cache_write_tokens, prompt - cached) if usage.cache_write_tokens else 0
    uncached = prompt - cached - written
    scaled = scaled_cost(price, uncached, completion, cached=cached, cache_written=written)
    charges: list[Charge] = []
    prompt_nano = _charge(charges, PROMPT, uncached, scaled.prompt)
    cached_nano = _charge(charges, INPUT_CACHE_READ, cached, scaled.cache_read) if cached else 0
    written_nano = _charge(charges, INPUT_CACHE_WRITE, written, scaled.cache_write) if written else 0
    completion_nano = _charge(charges, COMPLETION, completion, scaled.completion)
    return CostBreakdown(prompt_nano + written_nano, cached_nano, completion_nano, charges)


def _charge(charges: list[Charge], meter: str, quantity: int, scaled: float) -> int:
    """Append the charge of ``quantity`` units unless it is zero, and return its nano-USD."""
    if not quantity:
        return 0
    nano = rounded_nano(int(scaled))
    charges.append(Charge(meter, quantity, nano))
    return nano


def hedge_loser_cost(loser: HedgeLoser, served: Usage | None, estimated_prompt_tokens: int) -> int:
    """Return the nano-USD of the losing call of a hedged request, by the provider's own count or else by an estimate.

    The estimate assumes a prompt as long as the one that was ``served``, or else ``estimated_prompt_tokens``. A
    provider that continues after its caller has disconnected is assumed to write as many tokens as the winner did; what
    one that stops had written by then is unknown and not counted.
    """
    if loser.usage is not None:
        return cost_of(loser.usage, loser.price).total
    if not loser.started:
        return 0
    prompt = served.prompt_tokens if served and served.prompt_tokens else estimated_prompt_tokens
    completion = served.completion_tokens if served and not loser.stops_on_disconnect else 0
    return cost_of(Usage(prompt, completion), loser.price).total
