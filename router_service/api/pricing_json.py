"""Write price sheets as the reference does: decimal strings of USD per token, request or search."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from data.catalogue.price import MeterPrices, Price, PriceStep

# The reference's names of our prices of tokens.
_TOKEN_NAMES = {
    "prompt": "prompt",
    "completion": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
    "reasoning": "internal_reasoning",
    "audio": "audio",
    "audio_output": "audio_output",
    "image": "image_token",
    "image_output": "image_output",
    "cache_storage": "cache_storage",
}
_UNIT_NAMES = ("request", "web_search")
NO_METERS = MeterPrices()


def pricing(price: Price) -> dict[str, Any]:
    """Return the reference's ``pricing`` object.

    The prices at the top hold for short prompts, outside of every window of time; ``overrides`` has all others.
    """
    meters = price.meters or NO_METERS
    prices = {name: getattr(price if hasattr(price, name) else meters, name) for name in (*_TOKEN_NAMES, *_UNIT_NAMES)}
    rows: dict[str, Any] = _named(prices)
    if meters.search_unit is not None:
        # The reference has no name for searches that are ranked; it lists their price as that of a request.
        rows["request"] = _decimal_string(meters.search_unit, -9)
    if meters.steps:
        rows["overrides"] = [_override(step) for step in meters.steps]
    return rows


def _override(step: PriceStep) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if step.above_tokens is not None:
        found["min_prompt_tokens"] = step.above_tokens
    if step.window is not None:
        found["utc_start"], found["utc_end"] = _hhmm(step.window.start), _hhmm(step.window.end)
        # The reference does not have this field; it has no prices that depend on the day.
        found["utc_weekdays"] = list(step.window.weekdays)
    return found | _named(dict(step.prices))


def _named(prices: dict[str, int | None]) -> dict[str, str]:
    return {
        _TOKEN_NAMES.get(name, name): _decimal_string(nano, -9 if name in _UNIT_NAMES else -15)
        for name, nano in prices.items()
        if nano is not None
    }


def _hhmm(minute: int) -> int:
    return minute // 60 * 100 + minute % 60


def _decimal_string(nano: int, exponent: int) -> str:
    """Return ``nano`` times ten to the ``exponent``: exact, and written without an exponent."""
    value = Decimal(nano).scaleb(exponent).normalize()
    return format(value, "f") if value else "0"
