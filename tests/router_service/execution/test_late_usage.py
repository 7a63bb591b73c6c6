"""Test that the usage of a response that came too late to be used is known: its provider bills it."""

from __future__ import annotations

import msgspec
import pytest

from router_service.core.usage import Usage
from router_service.execution.event_reader import usage_of
from router_service.providers.formats import FORMATS
from router_service.providers.wire_format import DecodeContext

CHAT_USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
MESSAGE_USAGE = {"input_tokens": 7, "output_tokens": 3}


def chat(**said: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi", **said}, "finish_reason": "stop"}
    return msgspec.json.encode({"id": "c", "choices": [choice], "usage": CHAT_USAGE})


def message() -> bytes:
    content = [{"type": "text", "text": "Hi"}]
    found = {"id": "m", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}
    return msgspec.json.encode(found | {"usage": MESSAGE_USAGE})


@pytest.mark.parametrize(
    ("wire_format", "body"),
    [("openai_chat", chat()), ("openai_chat", chat(reasoning="hm")), ("anthropic_messages", message())],
)
def test_the_usage_of_a_complete_response_is_known(wire_format: str, body: bytes) -> None:
    found = usage_of(FORMATS[wire_format].decode_batches(body, DecodeContext()))
    assert found is not None and (found.prompt_tokens, found.completion_tokens) == (7, 3)


def test_the_usage_of_a_stream_is_the_last_one_reported() -> None:
    decoder = FORMATS["openai_chat"].decoder(DecodeContext())
    chunks = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": CHAT_USAGE},
    ]
    batches = [decoder.feed(None, msgspec.json.encode(chunk)) for chunk in chunks]
    assert usage_of(batch for batch in batches if batch is not None) == Usage(7, 3)
    assert usage_of(batch for batch in batches[:2] if batch is not None) is None
