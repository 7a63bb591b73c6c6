"""Find prices that are hardly right: a wrong unit, swapped fields, or a figure of another model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from data.catalogue.price import MeterPrices, Price, PriceStep
from data.catalogue.types import Endpoint

# Bounds between right prices and wrong ones, set by what the packaged source has of both.
LEAST_COMPLETION = 1 / 3  # of the prompt's price
LEAST_CACHE_WRITE = 1 / 2
MOST_CACHE_WRITE = 2  # Anthropic's, for an hour
MOST_STEP = 4  # of the price of a short prompt outside peak hours
SIBLING_FACTOR = 100  # to the median of the model's other providers; thousands mistaken for millions are 1000
# Nano-USD per million tokens, and per request or search.
MOST_PER_MILLION = 2_000_000_000_000
MOST_PER_UNIT = 10_000_000_000
_UNITS = ("request", "web_search", "search_unit", "output_image")
_NO_METERS = MeterPrices()
# Findings on prices that are right. Source, read 2026-11-30: Cloudflare docs: Workers AI, "Pricing".
_RIGHT = frozenset({("cloudflare-workers-ai:@cf/meta/llama-guard-3-8b", "completion costs far less than prompt")})


class PriceFinding(NamedTuple):
    """State what is implausible about the price of an ``endpoint``."""

    endpoint: str
    reason: str


def implausible_prices(endpoints: Sequence[Endpoint]) -> list[PriceFinding]:
    """Return what is implausible about the prices of the endpoints of one model."""
    found: list[PriceFinding] = []
    for endpoint in endpoints:
        if endpoint.price is not None:
            siblings = [e.price for e in endpoints if e.price and not e.free and e.provider != endpoint.provider]
            reasons = [*_faults(endpoint.price, endpoint.free), *_unlike(endpoint.price, endpoint.free, siblings)]
            if endpoint.task == "chat":
                reasons += _completion_faults(endpoint.price)
            found += [PriceFinding(endpoint.id, reason) for reason in reasons if (endpoint.id, reason) not in _RIGHT]
    return found


def _faults(price: Price, free: bool) -> Iterator[str]:
    named = prices_by_name(price)
    for name, nano in named.items():
        if nano < 0:
            yield f"{name} is negative"
        if nano > (MOST_PER_UNIT if name in _UNITS else MOST_PER_MILLION):
            yield f"{name} is too high for any model"
    if free != (not any(named.values())):
        yield "free, but not all prices are 0" if free else "all prices are 0, but it is not free"
    yield from _cache_faults(price)
    for step in price.meters.steps if price.meters else ():
        yield from _step_faults(step, named)


def _completion_faults(price: Price) -> Iterator[str]:
    if bool(price.prompt) != bool(price.completion):
        yield "one of prompt and completion is 0, the other is not"
    elif price.completion < LEAST_COMPLETION * price.prompt:
        yield "completion costs far less than prompt"


def _cache_faults(price: Price) -> Iterator[str]:
    if price.cache_read is not None and price.cache_read > price.prompt:
        yield "cache_read costs more than prompt"
    write, hour = price.cache_write, price.meters.cache_write_1h if price.meters else None
    for name, nano in (("cache_write", write), ("cache_write_1h", hour)):
        if nano is not None and not LEAST_CACHE_WRITE * price.prompt <= nano <= MOST_CACHE_WRITE * price.prompt:
            yield f"{name} is far from prompt"
    if hour is not None and hour < (write or 0):
        yield "cache_write_1h costs less than cache_write"


def _step_faults(step: PriceStep, named: dict[str, int]) -> Iterator[str]:
    for name, nano in step.prices:
        base = named.get(name)
        if base is None:
            continue
        if nano < 0 or nano > MOST_STEP * base:
            yield f"{name} of a step is far from that of short prompts"
        elif step.above_tokens is not None and nano < base:
            yield f"{name} of long prompts is below that of short ones"


def _unlike(price: Price, free: bool, siblings: Iterable[Price]) -> Iterator[str]:
    others = list(siblings)
    if free or not others:
        return
    for name in ("prompt", "completion"):
        usual, nano = median(getattr(other, name) for other in others), getattr(price, name)
        if nano > SIBLING_FACTOR * usual or usual > SIBLING_FACTOR * nano:
            yield f"{name} is {SIBLING_FACTOR} times away from the model's other providers"


def prices_by_name(price: Price) -> dict[str, int]:
    """Return the prices that ``price`` has, by the names of their fields, without those of its steps."""
    meters = price.meters or _NO_METERS
    fields = [(part, name) for part in (price, meters) for name in part.__struct_fields__]
    values = {name: getattr(part, name) for part, name in fields if name not in ("meters", "steps")}
    return {name: nano for name, nano in values.items() if nano is not None}
