"""Test the ``usage`` that clients get: counts of other kinds than text, searches, and a cost that is the record's."""

from __future__ import annotations

import msgspec
import pytest

from data.catalogue.price import MeterPrices, Price
from router_service.accounting.cost import cost_of
from router_service.api.skins.messages.render import message_usage
from router_service.api.skins.usage_json import usage_json
from router_service.core.usage import Usage
from tests.exchanges import exchange_of

USD = 10**9
USED = Usage(
    1000, 200, 300, 100, 20, 40, audio_prompt_tokens=50, audio_completion_tokens=60, web_searches=2, web_fetches=1
)


def test_the_cost_of_every_meter_is_in_the_parts_that_clients_read() -> None:
    """Fees are in the cost, and neither the prompt's nor the completion's."""
    found = exchange_of()
    meters = MeterPrices(audio=3 * USD, audio_output=4 * USD, web_search=10_000_000)
    cost = cost_of(USED, Price(USD, 2 * USD, USD // 10, USD * 5 // 4, meters))
    found.outcome.usage, found.outcome.cost = USED, cost
    usage = msgspec.to_builtins(usage_json(found))
    assert usage["prompt_tokens_details"]["audio_tokens"] == 50
    assert usage["completion_tokens_details"]["audio_tokens"] == 60
    assert usage["server_tool_use"] == usage["server_tool_use_details"] == {"web_search_requests": 2}
    # 550 text at 1, 300 read at 0.1, 60 written at 1.25, 40 for an hour at 2, 50 audio at 3 USD per million.
    assert usage["cost_details"]["upstream_inference_prompt_cost"] == 0.000885
    # 140 text at 2, 60 audio at 4 USD per million.
    assert usage["cost_details"]["upstream_inference_completions_cost"] == 0.00052
    assert usage["cost"] == 0.021405 == sum(one.nano for one in cost.charges) / 1e9


def test_searches_that_are_not_known_are_left_out() -> None:
    """A provider that counts none says nothing of them."""
    found = exchange_of()
    found.outcome.usage = Usage(1, 1)
    assert "server_tool_use" not in msgspec.to_builtins(usage_json(found))
    assert message_usage(Usage(1, 1), None).server_tool_use is None


def test_the_messages_api_names_searches_and_lifetimes() -> None:
    """Both counts of server tools are there, as strict clients require."""
    usage = msgspec.to_builtins(message_usage(USED, None))
    assert usage["server_tool_use"] == {"web_search_requests": 2, "web_fetch_requests": 1}
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}


# Source: ``AnthropicUsage`` in the reference's OpenAPI document, November 2026: all of them are required.
USAGE_FIELDS = {
    "input_tokens", "output_tokens", "output_tokens_details", "cache_creation_input_tokens", "cache_read_input_tokens",
    "cache_creation", "inference_geo", "server_tool_use", "service_tier",
}  # fmt: skip


@pytest.mark.parametrize(
    ("used", "unknown"),
    [
        (None, 7),
        (Usage(1, 2), 7),
        (Usage(9, 2, cached_tokens=3), 6),
        (Usage(9, 2, cached_tokens=0, reasoning_tokens=1), 5),
        (USED, 2),
    ],
)
def test_the_messages_api_names_every_count_that_strict_clients_require(used: Usage | None, unknown: int) -> None:
    """A count that the provider does not report is null; a zero that it reports stays a zero."""
    usage = msgspec.json.decode(msgspec.json.encode(message_usage(used, None)))
    assert usage.keys() == USAGE_FIELDS
    assert sum(value is None for value in usage.values()) == unknown
