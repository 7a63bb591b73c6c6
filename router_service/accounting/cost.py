"""Price the usage of a request: integer nano-USD, each charge rounded once, the total is the sum of the charges."""

from __future__ import annotations

import time
from collections.abc import Callable

from data.catalogue.cost import TOKENS_PER_PRICE
from data.catalogue.price import MeterPrices, Price, hour_write_price, minute_of_week, price_in_force
from data.record.charges import (
    AUDIO,
    AUDIO_OUTPUT,
    CACHE_STORAGE,
    COMPLETION,
    IMAGE,
    IMAGE_OUTPUT,
    INPUT_CACHE_READ,
    INPUT_CACHE_WRITE,
    INPUT_CACHE_WRITE_1H,
    OUTPUT_IMAGE,
    PROMPT,
    REASONING,
    REQUEST,
    SEARCH_UNIT,
    WEB_SEARCH,
    Charge,
)
from router_service.core.route_trace import HedgeLoser
from router_service.core.usage import CostBreakdown, Usage

_HALF = TOKENS_PER_PRICE // 2
_STORED = 60 * TOKENS_PER_PRICE  # a price of storage is for an hour, and minutes are counted
_NO_METERS = MeterPrices()
Clock = Callable[[], float]


def cost_of(usage: Usage, price: Price, clock: Clock = time.time) -> CostBreakdown:
    """Return the cost of ``usage`` at ``price``. Counts of cached tokens above the prompt's are cut to it.

    A meter that counted nothing has no charge. ``clock`` gives Unix seconds; it is read if the price depends on the
    time of day.
    """
    if price.meters is not None or usage.cache_write_1h_tokens:
        return _metered_cost(usage, price, clock)
    # Most prices end here, on the path of every request: no call for each meter, one division for each charge.
    uncached, completion = usage.prompt_tokens, usage.completion_tokens
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    charges: list[Charge] = []
    prompt_nano = cached_nano = completion_nano = 0
    if cached or written:
        cached = min(cached or 0, uncached)
        written = min(written or 0, uncached - cached)
        uncached -= cached + written
        if uncached:
            prompt_nano = (uncached * price.prompt + _HALF) // TOKENS_PER_PRICE
            charges.append(Charge(PROMPT, uncached, prompt_nano))
        if cached:
            each = price.prompt if price.cache_read is None else price.cache_read
            cached_nano = (cached * each + _HALF) // TOKENS_PER_PRICE
            charges.append(Charge(INPUT_CACHE_READ, cached, cached_nano))
        if written:
            each = price.prompt if price.cache_write is None else price.cache_write
            written_nano = (written * each + _HALF) // TOKENS_PER_PRICE
            charges.append(Charge(INPUT_CACHE_WRITE, written, written_nano))
            prompt_nano += written_nano
    elif uncached:
        prompt_nano = (uncached * price.prompt + _HALF) // TOKENS_PER_PRICE
        charges.append(Charge(PROMPT, uncached, prompt_nano))
    if completion:
        completion_nano = (completion * price.completion + _HALF) // TOKENS_PER_PRICE
        charges.append(Charge(COMPLETION, completion, completion_nano))
    return CostBreakdown(prompt_nano, cached_nano, completion_nano, charges)


def waived_cost(usage: Usage, price: Price, clock: Clock = time.time) -> CostBreakdown:
    """Return the cost of a response that is not charged for: its web searches and its cache, made all the same."""
    made = Usage(
        web_searches=usage.web_searches,
        cache_made_tokens=usage.cache_made_tokens,
        cache_token_minutes=usage.cache_token_minutes,
    )
    return cost_of(made, price, clock)


def _metered_cost(usage: Usage, price: Price, clock: Clock) -> CostBreakdown:
    """Return the cost at a price sheet with more meters. The tokens of a meter with its own price leave the others."""
    if price.meters is not None and price.meters.steps:
        price = price_in_force(price, usage.prompt_tokens, minute_of_week(clock()))
    own = price.meters or _NO_METERS
    charges: list[Charge] = []
    prompt_nano, cached_nano = _charge_prompt(charges, usage, price, own)
    completion_nano = _charge_completion(charges, usage, price, own)
    fees_nano = 0
    # A request that the provider reported nothing of may not have been served.
    if own.request is not None and (usage.prompt_tokens or usage.completion_tokens):
        fees_nano = own.request
        charges.append(Charge(REQUEST, 1, fees_nano))
    if own.web_search is not None and usage.web_searches:
        nano = usage.web_searches * own.web_search
        fees_nano += nano
        charges.append(Charge(WEB_SEARCH, usage.web_searches, nano))
    if own.search_unit is not None and usage.search_units:
        nano = usage.search_units * own.search_unit
        fees_nano += nano
        charges.append(Charge(SEARCH_UNIT, usage.search_units, nano))
    if own.output_image is not None and usage.images:
        nano = usage.images * own.output_image
        fees_nano += nano
        charges.append(Charge(OUTPUT_IMAGE, usage.images, nano))
    if own.cache_storage is not None and usage.cache_token_minutes:
        nano = (usage.cache_token_minutes * own.cache_storage + _STORED // 2) // _STORED
        fees_nano += nano
        charges.append(Charge(CACHE_STORAGE, usage.cache_token_minutes, nano))
    return CostBreakdown(prompt_nano, cached_nano, completion_nano, charges, fees_nano)


def _charge_prompt(charges: list[Charge], usage: Usage, price: Price, own: MeterPrices) -> tuple[int, int]:
    """Append the charges of the prompt; return their nano-USD, those of cached tokens apart."""
    left = usage.prompt_tokens
    cached = min(usage.cached_tokens, left) if usage.cached_tokens else 0
    written = min(usage.cache_write_tokens, left - cached) if usage.cache_write_tokens else 0
    hour = min(usage.cache_write_1h_tokens, written) if usage.cache_write_1h_tokens else 0
    left -= cached + written
    audio = image = 0
    if own.audio is not None and usage.audio_prompt_tokens:
        audio = min(usage.audio_prompt_tokens, left)
    if own.image is not None and usage.image_prompt_tokens:
        image = min(usage.image_prompt_tokens, left - audio)
    nano = _charge(charges, PROMPT, left - audio - image, price.prompt)
    cached_nano = 0
    if cached:
        read = price.prompt if price.cache_read is None else price.cache_read
        cached_nano = _charge(charges, INPUT_CACHE_READ, cached, read)
    if written:
        write = price.prompt if price.cache_write is None else price.cache_write
        nano += _charge(charges, INPUT_CACHE_WRITE, written - hour, write)
        nano += _charge(charges, INPUT_CACHE_WRITE_1H, hour, hour_write_price(price))
    if usage.cache_made_tokens:
        # The prompt of a cache is read once when the cache is made, and again by the request.
        write = price.prompt if price.cache_write is None else price.cache_write
        nano += _charge(charges, INPUT_CACHE_WRITE, usage.cache_made_tokens, write)
    if audio:
        nano += _charge(charges, AUDIO, audio, own.audio)
    if image:
        nano += _charge(charges, IMAGE, image, own.image)
    return nano, cached_nano


def _charge_completion(charges: list[Charge], usage: Usage, price: Price, own: MeterPrices) -> int:
    """Append the charges of the completion and return their nano-USD."""
    left = usage.completion_tokens
    kinds = (
        (AUDIO_OUTPUT, usage.audio_completion_tokens, own.audio_output),
        (IMAGE_OUTPUT, usage.image_completion_tokens, own.image_output),
        (REASONING, usage.reasoning_tokens, own.reasoning),
    )
    nano = 0
    for meter, tokens, each in kinds:
        if tokens and each is not None:
            tokens = min(tokens, left)
            left -= tokens
            nano += _charge(charges, meter, tokens, each)
    return nano + _charge(charges, COMPLETION, left, price.completion)


def _charge(charges: list[Charge], meter: str, quantity: int, price: int | None) -> int:
    """Append the charge of ``quantity`` tokens unless there are none, and return its nano-USD."""
    if not quantity or price is None:
        return 0
    nano = (quantity * price + _HALF) // TOKENS_PER_PRICE
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
