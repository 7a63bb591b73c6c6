"""Test the messages API on a running router with the vendor's own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack
from tests.running import until

MODELS = ["anthropic/claude-sonnet-4.5", "openai/gpt-oss-120b"]
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Look up the weather",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


@pytest.fixture
def client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


def record(stack: Stack, message_id: str) -> dict[str, Any]:
    generation = "gen-" + message_id.removeprefix("msg_").replace("_", "-")
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    found = find_on_disk(stack.lake, generation)
    assert found is not None
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_message_and_its_stream_are_answered_and_logged(
    stack: Stack, client: anthropic.Anthropic, model: str
) -> None:
    message = client.messages.create(model=model, max_tokens=50, messages=HELLO)
    # The lab draws the length of its answers, and each endpoint draws another.
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert (message.role, message.model) == ("assistant", model)
    assert message.content[0].type == "text"
    with client.messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert streamed.content[0].type == "text"
    assert streamed.content[0].text == text != ""
    for answer, is_stream in ((message, False), (streamed, True)):
        row = record(stack, answer.id)
        assert (row["skin"], row["stream"], row["status"], row["requested_model"]) == (
            "messages",
            is_stream,
            200,
            model,
        )
        assert row["completion_tokens"] == answer.usage.output_tokens > 0
        assert row["prompt_tokens"] >= answer.usage.input_tokens
        assert row["cost_nano"] == sum(charge["nano"] for charge in row["charges"]) > 0


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
def test_a_dated_id_of_the_vendor_is_resolved(stack: Stack, client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="claude-sonnet-4-5-20250929", max_tokens=50, messages=HELLO)
    assert message.model == "claude-sonnet-4-5-20250929"
    row = record(stack, message.id)
    assert (row["requested_model"], row["model"]) == ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5")


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_loop_comes_to_its_end(client: anthropic.Anthropic, model: str) -> None:
    messages = list(HELLO)
    asked = client.messages.create(model=model, max_tokens=200, messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    assert asked.stop_reason == "tool_use"
    call = next(block for block in asked.content if block.type == "tool_use")
    assert call.name == "weather"
    messages += [
        {"role": "assistant", "content": [block.model_dump() for block in asked.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]},
    ]
    with client.messages.stream(model=model, max_tokens=200, messages=messages, tools=[WEATHER]) as stream:  # type: ignore[list-item]
        assert stream.get_final_message().content


def test_tool_calls_are_judged(stack: Stack, client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model=MODELS[0],
        max_tokens=200,
        messages=HELLO,
        tools=[WEATHER],  # type: ignore[list-item]
    ) as stream:
        row = record(stack, stream.get_final_message().id)
    assert (row["tool_calls"], row["finish_reason"]) == (1, "tool_calls")


def test_errors_are_those_of_the_vendors_envelope(stack: Stack, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model=MODELS[0], messages=HELLO, extra_body={"max_tokens": "many"}, max_tokens=1)
    with pytest.raises(anthropic.BadRequestError, match="not a valid model ID"):
        client.messages.create(model="acme/unknown", max_tokens=5, messages=HELLO)
    with (
        anthropic.Anthropic(base_url=stack.url, api_key="sk-or-v1-wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError) as refused,
    ):
        stranger.messages.create(model=MODELS[0], max_tokens=5, messages=HELLO)
    assert refused.value.body == {
        "type": "error",
        "error": {"type": "authentication_error", "message": refused.value.body["error"]["message"]},  # type: ignore[index]
        "request_id": refused.value.response.headers["request-id"],
    }


def test_a_failing_endpoint_falls_over_to_the_next(stack: Stack, client: anthropic.Anthropic) -> None:
    stack.lab.modes["groq"] = {"mode": "error"}
    order = {"provider": {"order": ["groq", "deepinfra"]}}
    message = client.messages.create(model=MODELS[1], max_tokens=50, messages=HELLO, extra_body=order)
    row = record(stack, message.id)
    assert [attempt["endpoint"].split(":")[0] for attempt in row["attempts"]] == ["groq", "deepinfra"]


@pytest.mark.parametrize("mode", ["reset", "stall"])
def test_a_stream_that_breaks_ends_with_an_error_event(stack: Stack, client: anthropic.Anthropic, mode: str) -> None:
    stack.lab.modes["groq"] = {"mode": mode}
    only = {"provider": {"only": ["groq"], "stall_timeout": 1}}
    with (
        pytest.raises(anthropic.APIStatusError) as broken,
        client.messages.stream(model=MODELS[1], max_tokens=500, messages=HELLO, extra_body=only) as stream,
    ):
        list(stream)
    assert broken.value.body["error"]["type"] in ("api_error", "timeout_error")  # type: ignore[index,call-overload]


def test_tokens_are_estimated_and_the_estimate_is_marked(stack: Stack, client: anthropic.Anthropic) -> None:
    counted = client.messages.with_raw_response.count_tokens(model=MODELS[0], messages=HELLO)
    assert counted.parse().input_tokens > 0
    assert counted.headers["x-token-count"] == "estimate"
    assert httpx2.head(f"{stack.url}/api").status_code == 200


def test_a_silent_stream_gets_pings_before_and_after_its_first_token(stack: Stack) -> None:
    """Proxies and SDKs end a connection on which nothing arrives."""
    asked = {"model": MODELS[1], "max_tokens": 500, "messages": HELLO, "stream": True, "provider": {"only": ["groq"]}}
    for mode, begins in (("hang", False), ("stall", True)):
        stack.lab.modes["groq"] = {"mode": mode}
        with stack.client as client, client.stream("POST", "/v1/messages", json=asked) as answer:
            lines = (line for line in answer.iter_lines() if line.startswith("event: "))
            if begins:
                next(line for line in lines if line == "event: content_block_delta")
            assert [next(line for line in lines if line != "event: content_block_delta") for _ in range(2)] == [
                "event: ping"
            ] * 2
