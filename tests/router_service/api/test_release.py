"""Test that a request is freed once its answer has begun, and that its record says what it would have said."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import pytest

from data.record.prompt_labels import PromptLabels
from router_service.api import handler
from router_service.api.release import MIN_RELEASED_BYTES, release
from router_service.api.skins.chat.parse import parse_generation
from router_service.core.exchange import Exchange
from router_service.core.request import Head
from router_service.core.request_source import RequestSource
from router_service.core.tool_calls import ToolCallCollector
from router_service.core.wire.chat import DIALECT
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack
from tests.exchanges import parsed_exchange
from tests.running import until

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
PROMPT = "How does a pilot read the tide tables? " * (MIN_RELEASED_BYTES // 30)
CHAT = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}, PICTURE]}],
    "tools": [{"type": "function", "function": {"name": "tide", "parameters": SCHEMA}}],
    "tool_choice": "required",
    "user": "someone",
    "reasoning": {"effort": "low"},
    "session_id": "s",
    "cache_control": {"type": "ephemeral", "ttl": "1h"},
    "trace": {"trace_id": "t"},
}
MESSAGES = {
    "max_tokens": 2000,
    "messages": [{"role": "user", "content": PROMPT}],
    "tools": [{"name": "tide", "input_schema": SCHEMA}],
    "tool_choice": {"type": "any"},
    "metadata": {"user_id": "someone"},
}
# Labels that are not ready at the end of the response are dropped.
LABELS = set(PromptLabels._fields) - {"version"} | {"category_version"}
# What differs from one request to the next.
OWN = {
    "generation_id", "started_at", "duration_us", "ttft_us", "overhead_us", "draw", "upstream_id", "attempts", "worker",
    "candidates", "health_epoch", "arms", "policy", "propensity", "held_tokens", "output_bytes",
    *LABELS,
}  # fmt: skip


def row_of(stack: Stack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    with stack.client as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    generation = answer.headers["x-generation-id"]
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    row = find_on_disk(stack.lake, generation)
    assert row is not None
    return {name: value for name, value in row.items() if name not in OWN}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)])
def test_the_record_of_a_freed_request_is_the_same(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any], stream: bool
) -> None:
    asked = body | {"model": "anthropic/claude-haiku-4.5", "stream": stream, "provider": {"only": ["anthropic"]}}
    # The provider has the prompt in its cache after the first request.
    row_of(stack, path, asked)
    freed = row_of(stack, path, asked)
    monkeypatch.setattr(handler, "MIN_RELEASED_BYTES", 10**9)
    assert row_of(stack, path, asked) == freed
    assert freed["body_bytes"] > MIN_RELEASED_BYTES
    assert (freed["tools"], freed["tool_calls"]) == (1, 1) and freed["user_hash"] is not None


def test_no_open_stream_keeps_its_prompt(stack: Stack) -> None:
    mark = "a prompt that nothing may keep"
    messages = [{"role": "user", "content": mark + PROMPT}]
    body = {"model": "openai/gpt-oss-120b", "messages": messages, "stream": True, "provider": {"only": ["groq"]}}
    stack.lab.modes["groq"] = {"mode": "stall"}
    with stack.client as client, client.stream("POST", "/v1/chat/completions", json=body) as answer:
        # A generator that ends closes the response.
        lines = answer.iter_lines()
        assert next(lines)
        heads = [one for one in gc.get_objects() if isinstance(one, Head)]
        assert heads and not [one for one in heads if mark.encode() in one.messages]


def source_of(exchange: Exchange) -> RequestSource:
    head = exchange.request.head
    assert head is not None
    return RequestSource(DIALECT, head.fields, 0, True, parse_generation)


def test_nothing_refers_to_a_freed_body() -> None:
    body = json.dumps(CHAT | {"model": "a/b"}).encode()
    references = sys.getrefcount(body)
    exchange = parsed_exchange(body)
    exchange.outcome.tool_calls = ToolCallCollector()
    source = source_of(exchange)
    assert source.parsed.messages and sys.getrefcount(body) > references
    release(exchange, source)
    assert sys.getrefcount(body) == references
    head = exchange.request.head
    assert head is not None and head.released is not None and exchange.request.body_bytes == len(body)
    assert (head.released.input_media, head.released.asks_for_hour_cache) == (["text", "image"], True)
    assert set(head.fields) == {"tools", "user", "reasoning"} and not head.messages
    assert head.names == sorted(CHAT | {"model": ""})


def test_a_freed_request_cannot_be_dispatched_again() -> None:
    exchange = parsed_exchange(json.dumps(CHAT | {"model": "a/b"}).encode())
    source = source_of(exchange)
    release(exchange, source)
    with pytest.raises(AssertionError, match="released"):
        _ = source.parsed
