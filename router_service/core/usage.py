"""Define token usage and its cost, as every package of the router reads them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from data.record.charges import Charge


class Usage(msgspec.Struct):
    """Count a provider's native tokens.

    ``prompt_tokens`` include cached and cache-written ones, ``completion_tokens`` reasoning ones.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class CostBreakdown(NamedTuple):
    """Hold the charges of a request and their parts in nano-USD.

    ``prompt`` holds uncached and cache-written tokens, ``cached`` those read from a cache.
    """

    prompt: int
    cached: int
    completion: int
    charges: list[Charge]

    @property
    def total(self) -> int:
        return self.prompt + self.cached + self.completion
