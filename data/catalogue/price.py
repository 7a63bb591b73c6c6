"""Define price sheets: what each meter of an endpoint costs, by length of the prompt and time of day.

Token prices are integer nano-USD per **million** tokens, prices of requests and searches integer nano-USD each.
"""

from __future__ import annotations

from typing import Any

import msgspec

MINUTES_PER_DAY = 1440
# Anthropic's multiple of the prompt price for tokens that are cached for an hour; five minutes cost 1.25.
# Source: Claude docs, Pricing, "Prompt caching" (2026-10).
HOUR_WRITE_MULTIPLE = 2


class UtcWindow(msgspec.Struct, frozen=True):
    """Hold a part of the day, minutes after midnight UTC, without ``end``. It passes midnight if ``end`` is not later.

    ``weekdays`` are those on which the window begins, 0 for Monday.
    """

    start: int
    end: int
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)

    def contains(self, minute_of_week: int) -> bool:
        """Return whether the minute of the week, 0 on Monday at midnight UTC, lies in the window."""
        day, minute = divmod(minute_of_week, MINUTES_PER_DAY)
        if self.start < self.end:
            return self.start <= minute < self.end and day in self.weekdays
        return (minute >= self.start and day in self.weekdays) or (minute < self.end and (day - 1) % 7 in self.weekdays)


class PriceStep(msgspec.Struct, frozen=True):
    """Replace prices, by the names of their fields in ``Price`` and ``MeterPrices``, where every condition holds.

    ``above_tokens`` holds for prompts of more tokens than that, cached ones included.
    """

    prices: tuple[tuple[str, int], ...]
    above_tokens: int | None = None
    window: UtcWindow | None = None

    def applies(self, prompt_tokens: int, minute_of_week: int | None) -> bool:
        """Return whether the step is in force; one with a window never is at a time that is not known (``None``)."""
        if self.above_tokens is not None and prompt_tokens <= self.above_tokens:
            return False
        return self.window is None or (minute_of_week is not None and self.window.contains(minute_of_week))


class MeterPrices(msgspec.Struct, frozen=True):
    """Hold the prices that few endpoints have.

    Tokens without a price of their own cost what the prompt or the completion does, requests and searches nothing.
    ``audio`` and ``image`` are tokens of the prompt. ``web_search`` is per search, or per source where the provider
    counts these. ``search_unit`` is per query and up to 100 documents that are ranked, ``output_image`` per
    generated image. ``cache_storage`` is per million tokens that a cache with a name holds for an hour. Of the
    ``steps`` in force a later one wins.
    """

    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio: int | None = None
    audio_output: int | None = None
    image: int | None = None
    image_output: int | None = None
    request: int | None = None
    web_search: int | None = None
    search_unit: int | None = None
    output_image: int | None = None
    cache_storage: int | None = None
    steps: tuple[PriceStep, ...] = ()


class Price(msgspec.Struct, frozen=True):
    """Hold the price sheet of an endpoint.

    ``None`` means that the source gives no figure of its own: cached tokens are then billed at ``prompt``.
    ``cache_write`` is for five minutes where the provider offers a choice. ``meters`` is ``None`` for most endpoints,
    which have these four prices only.
    """

    prompt: int
    completion: int
    cache_read: int | None = None
    cache_write: int | None = None
    meters: MeterPrices | None = None


_BASE = frozenset(Price.__struct_fields__)


def price_in_force(price: Price, prompt_tokens: int, minute_of_week: int | None) -> Price:
    """Return ``price`` with the steps applied that hold for a prompt of this length at this minute of the week."""
    meters = price.meters
    if meters is None or not meters.steps:
        return price
    replaced: dict[str, Any] = {}
    for step in meters.steps:
        if step.applies(prompt_tokens, minute_of_week):
            replaced.update(step.prices)
    if not replaced:
        return price
    own = {name: nano for name, nano in replaced.items() if name not in _BASE}
    base = {name: nano for name, nano in replaced.items() if name in _BASE}
    return msgspec.structs.replace(price, **base, meters=msgspec.structs.replace(meters, **own))


def hour_write_price(price: Price) -> int:
    """Return the price of tokens that are cached for an hour.

    Only Anthropic's protocol counts them, so an endpoint without a price of its own for them has Anthropic's multiple,
    unless it charges nothing for writes at all.
    """
    if price.meters is not None and price.meters.cache_write_1h is not None:
        return price.meters.cache_write_1h
    return price.prompt if price.cache_write is None else HOUR_WRITE_MULTIPLE * price.prompt


def length_steps(price: Price | None) -> tuple[int, ...]:
    """Return the lengths of prompts, in tokens and ascending, above which other prices hold."""
    steps = price.meters.steps if price is not None and price.meters is not None else ()
    return tuple(sorted({step.above_tokens for step in steps if step.above_tokens is not None}))


def minute_of_week(unix_s: float) -> int:
    """Return the minute of the week in UTC, 0 on Monday at midnight; Unix time began on a Thursday."""
    return int(unix_s // 60 + 3 * MINUTES_PER_DAY) % (7 * MINUTES_PER_DAY)
