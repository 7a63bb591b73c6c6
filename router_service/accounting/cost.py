"""Price usage: integer nano-USD, each charge rounded once, the total is the sum of the rounded charges."""

from __future__ import annotations

from typing import NamedTuple

from data.catalogue.types import Price
from data.record.charges import COMPLETION, INPUT_CACHE_READ, INPUT_CACHE_WRITE, PROMPT, Charge, charge
from router_service.providers.contract import Usage


class Cost(NamedTuple):
    """Hold the parts in nano-USD (uncached prompt with cache writes, cache reads, completion) and their charges."""

    prompt: int
    cached: int
    completion: int
    charges: list[Charge]

    @property
    def total(self) -> int:
        return self.prompt + self.cached + self.completion


def cost_of(usage: Usage, price: Price) -> Cost:
    """Return the cost of ``usage`` at ``price``. Cached tokens without a price of their own cost what prompt tokens do.

    A meter that counted nothing has no charge.
    """
    completion = charge(COMPLETION, usage.completion_tokens, price.completion)
    if not usage.cached_tokens and not usage.cache_write_tokens:
        prompt = charge(PROMPT, usage.prompt_tokens, price.prompt)
        charges = [prompt, completion] if prompt.quantity and completion.quantity else _counted(prompt, completion)
        return Cost(prompt.nano, 0, completion.nano, charges)
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    written = min(usage.cache_write_tokens or 0, usage.prompt_tokens - cached)
    plain = usage.prompt_tokens - cached - written
    write_price = price.prompt if price.cache_write is None else price.cache_write
    read_price = price.prompt if price.cache_read is None else price.cache_read
    prompt = charge(PROMPT, plain, price.prompt)
    write = charge(INPUT_CACHE_WRITE, written, write_price)
    read = charge(INPUT_CACHE_READ, cached, read_price)
    return Cost(prompt.nano + write.nano, read.nano, completion.nano, _counted(prompt, read, write, completion))


def _counted(*charges: Charge) -> list[Charge]:
    return [one for one in charges if one.quantity]
