"""The official SDK accepts what the API sends, and accumulates a stream to the non-streaming message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from router_service.api.skins.messages.endpoint import MessagesEndpoint
from router_service.api.skins.messages.errors import error_body
from router_service.api.skins.messages.render import render_message
from router_service.api.skins.messages.stream import PING, MessagesStreamRenderer
from router_service.core.errors import ERROR_STATUS, ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    PartBegan,
    PartDelta,
    PartEnded,
    fold,
)
from router_service.core.exchange import Exchange
from router_service.core.parts import Reasoning, Text, ToolCall
from router_service.core.request import Request
from tests.router_service.api.skins.messages.answer_strategies import answers, batched
from tests.router_service.api.skins.messages.serving_bytes import PreparedServer, prepared_server

GENERATION = "gen-1764434466-0123456789abcdef0123"
ASKED: dict[str, Any] = {"model": "any/model", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
_stream_event: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_beta_event: TypeAdapter[Any] = TypeAdapter(BetaRawMessageStreamEvent)
# The stream's last event has no field for these, and a text block of the SDK has one more.
_LEFT_OUT = {"cache_creation", "service_tier", "parsed_output"}


@pytest.fixture(scope="module")
def server() -> Iterator[PreparedServer]:
    with prepared_server() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: PreparedServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.base_url, api_key="k", max_retries=0) as found:
        yield found


def rendered(events: list[Event], batches: list[list[Event]] | None = None) -> bytes:
    renderer = MessagesStreamRenderer(GENERATION, "any/model")
    sent = b"".join(renderer.feed(batch) + PING * (not renderer.over) for batch in batches or [events])
    assert renderer.over
    return sent


def plain(value: Any) -> Any:
    """Return ``value`` without nulls, and without what a stream cannot say."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one is not None and key not in _LEFT_OUT}
    return [plain(one) for one in value] if isinstance(value, list) else value


def stream_data(sent: bytes) -> list[dict[str, Any]]:
    found = []
    for event in sent.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        body = json.loads(data.removeprefix("data: "))
        assert body["type"] == name.removeprefix("event: ")
        found.append(body)
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(answers(), st.data())
def test_the_sdk_accumulates_a_stream_to_the_message_of_its_fold(
    server: PreparedServer, client: anthropic.Anthropic, events: list[Event], data: st.DataObject
) -> None:
    body = render_message(fold(events), generation_id=GENERATION, model="any/model")
    wanted = plain(json.loads(body))
    server.stream(rendered(events, data.draw(batched(events))))
    with client.messages.stream(**ASKED) as stream:
        assert plain(stream.get_final_message().to_dict()) == wanted
    with client.beta.messages.stream(**ASKED) as beta:
        assert plain(beta.get_final_message().to_dict()) == wanted
    server.json(body)
    assert plain(client.messages.create(**ASKED).to_dict()) == wanted


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(answers())
@example(
    [
        Began(),
        PartBegan(0, 0, ToolCall(call_id="a.b", name="f")),
        PartDelta(choice=0, index=0, text='{"a":'),
        PartEnded(choice=0, index=0),
        Finished(choice=0, reason="tool_calls"),
        Ended(),
    ]
)
def test_every_message_and_event_is_valid_for_the_sdks_models(events: list[Event]) -> None:
    body = render_message(fold(events), generation_id=GENERATION, model="any/model")
    Message.model_validate_json(body)
    BetaMessage.model_validate_json(body)
    for event in stream_data(rendered(events)):
        if event["type"] != "ping":
            _stream_event.validate_python(event)
            _beta_event.validate_python(event)


def test_blocks_follow_each_other() -> None:
    events: list[Event] = [
        Began(),
        PartBegan(0, 4, ToolCall(call_id="call_1", name="f")),
        PartBegan(0, 7, ToolCall(call_id="call_2", name="g")),
        PartDelta(choice=0, index=7, text='{"b":2}'),
        PartDelta(choice=0, index=4, text='{"a":1}'),
        PartEnded(choice=0, index=7),
        PartEnded(choice=0, index=4),
        Finished(choice=0, reason="tool_calls"),
        Ended(),
    ]
    kinds = [(event["type"], event.get("index")) for event in stream_data(rendered(events)) if event["type"] != "ping"]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert kinds == [
        ("message_start", None),
        *((name, 0) for name in block),
        *((name, 1) for name in block),
        ("message_delta", None),
        ("message_stop", None),
    ]


def test_a_failure_inside_a_stream_is_the_sdks_error(server: PreparedServer, client: anthropic.Anthropic) -> None:
    error = ApiError("provider_overloaded", "The provider is overloaded", retry_after=2)
    server.stream(rendered([Began(), PartBegan(0, 0, Text(text="so f")), Failed(error)]))
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded_error") as raised,
        client.messages.stream(**ASKED) as s,
    ):
        s.until_done()
    assert raised.value.body == error_body(error, GENERATION)


@pytest.mark.parametrize("error_type", sorted(ERROR_STATUS))
def test_the_sdk_raises_its_own_error_for_each_status(
    server: PreparedServer, client: anthropic.Anthropic, error_type: str
) -> None:
    error = ApiError(error_type, "Say what to change", retry_after=3)
    status, headers, body = MessagesEndpoint().error(error, exchange())
    server.json(body, status, tuple(headers[1:]))
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(**ASKED)
    assert raised.value.status_code == status
    assert raised.value.request_id == GENERATION
    if status != 413:
        # Cloudflare sends request_too_large in front of the API; the SDK's models do not have it.
        ErrorResponse.model_validate_json(body)


def test_the_types_of_errors() -> None:
    found = {kind: error_body(ApiError(kind, "m"), "r")["error"]["type"] for kind in ERROR_STATUS}
    assert found["rate_limit_exceeded"] == "rate_limit_error"
    assert found["payload_too_large"] == "request_too_large"
    assert found["payment_required"] == "billing_error"
    assert found["timeout"] == "timeout_error"
    assert found["unprocessable"] == found["invalid_request"] == "invalid_request_error"
    endpoint = MessagesEndpoint()
    assert endpoint.error(ApiError("provider_overloaded", "m", retry_after=7), exchange()).status == 529
    limited = endpoint.error(ApiError("rate_limit_exceeded", "m", retry_after=7), exchange())
    assert (b"retry-after", b"7") in limited.headers


def exchange() -> Exchange:
    return Exchange(Request(GENERATION, 1_764_434_466.0, 0.0, "messages", {}))


def test_claude_code_recognises_an_overflow() -> None:
    message = error_body(ApiError("context_length_exceeded", "Maximum context length is 4096"), "r")["error"]["message"]
    assert message == "prompt is too long: Maximum context length is 4096"
    again = error_body(ApiError("context_length_exceeded", "Prompt is too long: 5 > 4"), "r")["error"]["message"]
    assert again == "Prompt is too long: 5 > 4"


def test_the_async_sdk_reads_reasoning_and_tools(server: PreparedServer) -> None:
    import asyncio

    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Reasoning(origin="openai_chat/1")),
        PartDelta(choice=0, index=0, text="Let me see"),
        PartEnded(choice=0, index=0),
        PartBegan(0, 1, ToolCall(call_id="call_1", name="f", arguments='{"city":"Rome"}')),
        PartEnded(choice=0, index=1),
        Finished(choice=0, reason="tool_calls"),
        Ended(),
    ]
    server.stream(rendered(events))

    async def read() -> Message:
        async with anthropic.AsyncAnthropic(base_url=server.base_url, api_key="k", max_retries=0) as client:
            async with client.messages.stream(**ASKED) as stream:
                return await stream.get_final_message()

    thinking, call = asyncio.run(read()).content
    assert thinking.type == "thinking" and thinking.thinking == "Let me see" and thinking.signature
    assert call.type == "tool_use" and call.input == {"city": "Rome"}
