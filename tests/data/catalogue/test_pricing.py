"""Test the price sheets of the packaged catalogue, and the check that finds implausible ones."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from data.catalogue import load_catalogue
from data.catalogue.price import MeterPrices, Price, PriceStep, length_steps, price_in_force
from data.catalogue.price_check import implausible_prices
from data.catalogue.types import Endpoint

USD = 10**9
ENDPOINTS = {e.id: e for offers in load_catalogue().endpoints.values() for e in offers}
GOOD = Price(USD, 5 * USD, USD // 10, USD * 5 // 4, MeterPrices(cache_write_1h=2 * USD))


def price(endpoint: str) -> Price:
    found = ENDPOINTS[endpoint].price
    assert found is not None
    return found


def meters(endpoint: str) -> MeterPrices:
    found = price(endpoint).meters
    assert found is not None
    return found


def offer(found: Price | None, provider: str = "a", **more: Any) -> Endpoint:
    like = ENDPOINTS["openai:gpt-4.1"]
    fields = {"id": f"{provider}:m", "provider": provider, "price": found, "free": False, **more}
    return msgspec.structs.replace(like, **fields)


def reasons(found: Price, *siblings: Price, **more: Any) -> list[str]:
    others = [offer(sibling, f"b{place}") for place, sibling in enumerate(siblings)]
    return [one.reason for one in implausible_prices([offer(found, **more), *others]) if one.endpoint == "a:m"]


def test_anthropic_writes_to_its_cache_at_1_25_and_2_times_the_prompt() -> None:
    """Holds for every model of Anthropic's, and for long prompts too."""
    offers = [e for e in ENDPOINTS.values() if e.provider == "anthropic" and e.price]
    assert len(offers) > 10
    for one in offers:
        assert one.price is not None and one.price.meters is not None
        assert one.price.meters.cache_write_1h == 2 * one.price.prompt
        assert one.price.meters.web_search == 10_000_000
    long = price_in_force(price("anthropic:claude-sonnet-4-5"), 200_001, None)
    assert (long.prompt, long.cache_write, long.completion) == (6 * USD, 7.5 * USD, 22.5 * USD)
    assert long.meters is not None and long.meters.cache_write_1h == 12 * USD


@pytest.mark.parametrize(
    ("endpoint", "length", "prompt", "completion"),
    [
        ("google:gemini-2.5-pro", 200_000, 2.5, 15),
        ("openai:gpt-5.4", 272_000, 5, 22.5),
        ("alibaba:qwen3.6-plus", 256_000, 2, 6),
        ("xai:grok-4.3", 199_999, 2.5, 5),
    ],
)
def test_long_prompts_have_the_length_and_the_price_of_the_source(
    endpoint: str, length: int, prompt: float, completion: float
) -> None:
    """The source's typed rows call each length 200k; its data file has the real ones."""
    assert length_steps(price(endpoint)) == (length,)
    assert price_in_force(price(endpoint), length, None) == price(endpoint)
    long = price_in_force(price(endpoint), length + 1, None)
    assert (long.prompt, long.completion) == (prompt * USD, completion * USD)


def test_deepseek_costs_twice_as_much_in_peak_hours() -> None:
    """Peak hours are 01:00 to 04:00 and 06:00 to 10:00 UTC on working days."""
    sheet = price("deepseek:deepseek-v4-pro")
    assert (sheet.prompt, sheet.completion, sheet.cache_read) == (660_000_000, 1_980_000_000, 22_000_000)
    peak = [price_in_force(sheet, 100, 60 * hour) for hour in range(7 * 24)]
    hours = {hour for hour, found in enumerate(peak) if found.prompt == 2 * sheet.prompt}
    assert hours == {24 * day + hour for day in range(5) for hour in (1, 2, 3, 6, 7, 8, 9)}


def test_fees_and_meters_come_from_the_source_and_the_authored_facts() -> None:
    """Perplexity charges by request and by search, Google more for audio, Alibaba more for reasoning."""
    assert meters("perplexity:sonar").request == 5_000_000
    assert meters("perplexity:sonar-deep-research").web_search == 5_000_000
    assert meters("perplexity:sonar-deep-research").reasoning == 3 * USD
    assert meters("google:gemini-2.5-flash").audio == USD
    assert meters("alibaba:qwen-plus").reasoning == 4 * USD
    assert price("openai:gpt-4.1").meters is None
    assert price("zai:glm-4.6").cache_write is None


def test_no_endpoint_that_is_routed_to_has_an_implausible_price() -> None:
    """Whoever adds a provider or takes a newer source is told of a wrong unit here."""
    found = [one for offers in load_catalogue().endpoints.values() for one in implausible_prices(offers)]
    assert [one for one in found if ENDPOINTS[one.endpoint].enabled] == []
    assert found, "the source has some at endpoints that are off"


def test_prices_that_are_right_are_not_reported() -> None:
    """Prices of the same model may differ by a lot, and free endpoints are no measure."""
    assert reasons(GOOD, Price(USD // 20, USD // 10)) == []
    assert reasons(Price(0, 0), GOOD, free=True) == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (Price(5 * USD, USD), "completion costs far less than prompt"),
        (Price(USD, 5 * USD, 2 * USD), "cache_read costs more than prompt"),
        (Price(USD, 5 * USD, None, 3 * USD), "cache_write is far from prompt"),
        (Price(USD, 5 * USD, None, USD // 10), "cache_write is far from prompt"),
        (Price(-USD, 5 * USD), "prompt is negative"),
        (Price(0, 5 * USD), "one of prompt and completion is 0, the other is not"),
        (Price(0, 0), "all prices are 0, but it is not free"),
        (Price(USD, 10_000_000 * USD), "completion is too high for any model"),
        (Price(USD, USD, meters=MeterPrices(request=11 * USD)), "request is too high for any model"),
        (
            Price(USD, 5 * USD, None, USD, MeterPrices(cache_write_1h=USD // 2)),
            "cache_write_1h costs less than cache_write",
        ),
        (
            Price(USD, USD, meters=MeterPrices(steps=(PriceStep((("prompt", USD // 2),), 100),))),
            "prompt of long prompts is below that of short ones",
        ),
        (
            Price(USD, USD, meters=MeterPrices(steps=(PriceStep((("prompt", 9 * USD),), 100),))),
            "prompt of a step is far from that of short prompts",
        ),
    ],
)
def test_an_implausible_price_is_found(wrong: Price, reason: str) -> None:
    """Each kind of fault has a sentence of its own."""
    assert reason in reasons(wrong)


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_a_price_in_another_unit_is_found_by_its_siblings(factor: float) -> None:
    """A price per thousand tokens is 1000 times away from that of the same model elsewhere."""
    wrong = Price(round(USD * factor), round(5 * USD * factor))
    found = reasons(wrong, GOOD, Price(2 * USD, 4 * USD))
    assert [one.split()[0] for one in found if "other providers" in one] == ["prompt", "completion"]


def test_a_free_endpoint_with_a_price_is_found() -> None:
    """Free means that every price is 0."""
    assert reasons(GOOD, free=True) == ["free, but not all prices are 0"]
