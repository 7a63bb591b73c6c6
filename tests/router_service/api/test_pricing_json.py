"""Test the ``pricing`` objects of models and endpoints: the reference's names, and exact decimal strings."""

from __future__ import annotations

import pytest

from data.catalogue.price import MeterPrices, Price, PriceStep, UtcWindow
from router_service.api.pricing_json import pricing
from tests.conftest import Stack

USD = 10**9


def test_a_plain_price_has_its_own_keys_alone() -> None:
    """A price that an endpoint does not have is left out, not 0."""
    assert pricing(Price(USD, 5 * USD, 100_000_001)) == {
        "prompt": "0.000001",
        "completion": "0.000005",
        "input_cache_read": "0.000000100000001",
    }
    assert pricing(Price(0, 0)) == {"prompt": "0", "completion": "0"}


def test_every_meter_has_the_name_of_the_reference() -> None:
    """Prices of tokens are per token, those of requests and searches per unit."""
    meters = MeterPrices(2 * USD, 3 * USD, 4 * USD, 5 * USD, 6 * USD, 7 * USD, 5_000_000, 10_000_000, cache_storage=USD)
    assert pricing(Price(USD, USD, meters=meters)) == {
        "prompt": "0.000001",
        "completion": "0.000001",
        "input_cache_write_1h": "0.000002",
        "internal_reasoning": "0.000003",
        "audio": "0.000004",
        "audio_output": "0.000005",
        "image_token": "0.000006",
        "image_output": "0.000007",
        "cache_storage": "0.000001",
        "request": "0.005",
        "web_search": "0.01",
    }


def test_steps_are_overrides_with_their_conditions() -> None:
    """The reference writes times as HHMM."""
    steps = (
        PriceStep((("prompt", 2 * USD), ("cache_read", USD)), 200_000),
        PriceStep((("completion", USD // 2),), window=UtcWindow(990, 30, (0, 4))),
    )
    assert pricing(Price(USD, USD, meters=MeterPrices(steps=steps)))["overrides"] == [
        {"min_prompt_tokens": 200_000, "prompt": "0.000002", "input_cache_read": "0.000001"},
        {"utc_start": 1630, "utc_end": 30, "utc_weekdays": [0, 4], "completion": "0.0000005"},
    ]


@pytest.mark.parametrize("path", ["model/google/gemini-2.5-pro", "models/google/gemini-2.5-pro/endpoints"])
def test_the_catalogue_shows_what_long_prompts_cost(stack: Stack, path: str) -> None:
    """Clients that compare prices see the same sheet that is billed."""
    with stack.client as client:
        data = client.get(f"/api/v1/{path}").json()["data"]
    shown = data["pricing"] if "pricing" in data else data["endpoints"][0]["pricing"]
    assert shown["prompt"] == "0.00000125"
    assert shown["overrides"][0] == {
        "min_prompt_tokens": 200_000,
        "prompt": "0.0000025",
        "completion": "0.000015",
        "input_cache_read": "0.00000025",
    }
