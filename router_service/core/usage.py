"""Define token usage and cost for all packages of the router."""

from __future__ import annotations

from typing import Any

import msgspec

from data.record.charges import Charge


class Usage(msgspec.Struct):
    """Count tokens as the provider counts them; ``None`` means that the provider did not report the figure.

    ``prompt_tokens`` include cached, cache-written, audio and image tokens, ``completion_tokens`` include reasoning,
    audio and image tokens. ``cache_write_1h_tokens`` are the ones among ``cache_write_tokens`` that the provider caches
    for an hour. ``web_searches`` are sources where the provider counts these; ``web_fetches`` cost nothing but their
    tokens. ``reported_nano`` is the cost that the provider itself states, nano-USD; it is recorded and never billed.
    ``search_units`` are queries with up to 100 documents each that were ranked, ``images`` those that were generated.
    ``cache_made_tokens`` were written to a cache with a name that the router has made for the request, and are not
    among ``prompt_tokens``; the cache is stored for ``cache_token_minutes``, its tokens times minutes.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    image_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None
    image_completion_tokens: int | None = None
    web_searches: int | None = None
    web_fetches: int | None = None
    reported_nano: int | None = None
    search_units: int | None = None
    images: int | None = None
    cache_made_tokens: int | None = None
    cache_token_minutes: int | None = None

    @property
    def all_written_tokens(self) -> int | None:
        """Return the tokens that were written to a cache of either kind."""
        made = self.cache_made_tokens
        return self.cache_write_tokens if made is None else made + (self.cache_write_tokens or 0)

    def plus(self, other: Usage) -> Usage:
        """Return the sum of both; a figure that neither has is ``None``."""
        return Usage(*(_sum(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__))


class CostBreakdown(msgspec.Struct, frozen=True, gc=False):
    """Hold the charges of a request and their parts in nano-USD.

    ``prompt`` holds all of the prompt but ``cached``, the tokens that were read from a cache; ``completion`` holds
    every kind of output, ``fees`` what is not priced by token: requests and web searches.
    """

    prompt: int
    cached: int
    completion: int
    charges: list[Charge]
    fees: int = 0

    @property
    def total(self) -> int:
        """Return the sum of the parts in nano-USD."""
        return self.prompt + self.cached + self.completion + self.fees

    def plus(self, other: CostBreakdown) -> CostBreakdown:
        """Return the sum of both, with the charges of both."""
        return CostBreakdown(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            [*self.charges, *other.charges],
            self.fees + other.fees,
        )


def _sum(one: int | None, other: int | None) -> Any:
    return other if one is None else one if other is None else one + other
