"""Test each vendor's usage object, as its documentation shows it: the counts, and the price worked out by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from data.catalogue.price import Price
from router_service.accounting.cost import cost_of
from router_service.core.usage import Usage
from router_service.execution.event_reader import usage_of
from router_service.providers.formats import FORMATS
from router_service.providers.wire_format import DecodeContext
from tests.router_service.accounting.compatible_usage import COMPATIBLE_USAGE
from tests.router_service.accounting.vendor_usage import MESSAGES_USAGE, OPENAI_USAGE, Sample

SAMPLES = OPENAI_USAGE | MESSAGES_USAGE | COMPATIBLE_USAGE
MONDAY_NOON = 4 * 86_400 + 12 * 3600  # Unix time began on a Thursday


def response(sample: Sample) -> bytes:
    """Return a complete response with the usage."""
    if sample.wire_format == "anthropic_messages":
        said: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "stop_reason": "end_turn"}
        return msgspec.json.encode(said | {"content": [{"type": "text", "text": "Hi"}], "usage": sample.usage})
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return msgspec.json.encode({"id": "c", "choices": [choice], "usage": sample.usage})


@pytest.mark.parametrize("name", SAMPLES)
def test_the_usage_is_counted_and_priced(name: str) -> None:
    """Money is exact to the nano-USD, and every token is charged once."""
    sample = SAMPLES[name]
    context = DecodeContext(reasoning_in_total=sample.reasoning_in_total)
    counts = usage_of(FORMATS[sample.wire_format].decode_batches(response(sample), context))
    assert counts == sample.counts
    cost = cost_of(counts, sample.price, lambda: MONDAY_NOON)
    assert {one.meter: (one.quantity, one.nano) for one in cost.charges} == sample.charges
    assert cost.total == sum(nano for _, nano in sample.charges.values())
    fees = ("request", "web_search")
    tokens = sum(quantity for meter, (quantity, _) in sample.charges.items() if meter not in fees)
    assert tokens == counts.prompt_tokens + counts.completion_tokens


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.wire_format == "openai_chat"])
def test_the_usage_at_the_end_of_a_stream_is_the_same(name: str) -> None:
    """A stream reports its usage in a chunk without choices."""
    sample = SAMPLES[name]
    decoder = FORMATS["openai_chat"].decoder(DecodeContext(reasoning_in_total=sample.reasoning_in_total))
    chunks = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": sample.usage},
    ]
    batches = [decoder.feed(None, msgspec.json.encode(chunk)) for chunk in chunks]
    assert usage_of(batch for batch in batches if batch is not None) == sample.counts


@pytest.mark.parametrize(("total", "completion"), [(7, 2), (57, 52), (None, 52)])
def test_reasoning_is_added_where_the_total_does_not_contradict(total: int | None, completion: int) -> None:
    """A total without the reasoning says that it is no more than the completion, whatever its own count."""
    details = {"completion_tokens_details": {"reasoning_tokens": 50}}
    known = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": total}
    sample = Sample("", known | details, Price(1, 1), Usage(), {})
    counts = usage_of(FORMATS["openai_chat"].decode_batches(response(sample), DecodeContext()))
    assert counts is not None and counts.completion_tokens == completion


@pytest.mark.parametrize(
    "usage",
    [
        {"cost": -1},
        {"cost": "0.1"},
        {"cost": True},
        {"cost": 1e300},
        {"cost": {"total_cost": None}},
        {"num_search_queries": -3},
        {"server_tool_use": {"web_search_requests": "many"}},
        {"prompt_tokens_details": {"audio_tokens": -1}},
        {"citation_tokens": -7},
    ],
)
def test_impossible_figures_are_ignored(usage: dict[str, Any]) -> None:
    """A count or a cost that cannot be never fails the response."""
    known = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    sample = Sample("", known | usage, Price(1, 1), Usage(), {})
    counts = usage_of(FORMATS["openai_chat"].decode_batches(response(sample), DecodeContext()))
    assert counts == Usage(5, 2)
