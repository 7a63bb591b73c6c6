"""Test both client APIs over an endpoint of the Responses format, whose vendor refuses what OpenAI refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from lab.server import Lab
from tests.conftest import Stack, open_stack
from tests.running import until

MODEL, ENDPOINT = "openai/gpt-5.2-codex", "openai:gpt-5.2-codex"
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
CLOSED = PLACE | {"additionalProperties": False}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest").decode()
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": name, "parameters": PLACE}} for name in ("find", "hoist")]
MESSAGE_TOOLS: Any = [{"name": name, "input_schema": PLACE} for name in ("find", "hoist")]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Open a router in front of a strict lab."""
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    with open_stack(tmp_path_factory.mktemp("responses"), lab) as opened:
        yield opened


@pytest.fixture
def chat(world: Stack) -> Iterator[openai.OpenAI]:
    """Yield a client of chat completions; afterwards the vendor has been called and has refused nothing."""
    world.lab.calls.clear()
    world.lab.refused.clear()
    with openai.OpenAI(base_url=f"{world.url}/api/v1", api_key=world.key, max_retries=0) as client:
        yield client
    assert set(world.lab.calls) == {ENDPOINT} and not world.lab.refused


@pytest.fixture
def messages(world: Stack) -> Iterator[anthropic.Anthropic]:
    """Yield a client of the messages API; afterwards the vendor has been called and has refused nothing."""
    world.lab.calls.clear()
    world.lab.refused.clear()
    with anthropic.Anthropic(base_url=world.url, api_key=world.key, max_retries=0) as client:
        yield client
    assert set(world.lab.calls) == {ENDPOINT} and not world.lab.refused


def asking(scenario: str) -> str:
    """Return a prompt that the lab answers by ``scenario``."""
    return f"What now, pilot? [lab:scenario={scenario}]"


def complete(client: openai.OpenAI, stream: bool, turns: list[Any], **body: Any) -> Any:
    """Return the completion, which the SDK puts together from the chunks of a stream; append its message."""
    asked: dict[str, Any] = {"model": MODEL, "messages": turns} | body
    if stream:
        with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**asked)
    message = answer.choices[0].message.model_dump(exclude_none=True, exclude={"parsed": True})
    for call in message.get("tool_calls") or ():
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    turns.append(message)
    return answer


def converse(client: anthropic.Anthropic, stream: bool, turns: list[Any], **body: Any) -> Any:
    """Return the message, which the SDK puts together from the events of a stream; append it."""
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 2048, "messages": turns} | body
    if stream:
        with client.messages.stream(**asked) as events:
            message: Any = events.get_final_message()
    else:
        message = client.messages.create(**asked)
    turns.append({"role": "assistant", "content": message.content})
    return message


def user(content: Any) -> list[Any]:
    """Return a conversation that begins with ``content``."""
    return [{"role": "user", "content": content}]


@STREAMED
def test_chat_text_and_a_second_turn(chat: openai.OpenAI, stream: bool) -> None:
    turns = [{"role": "system", "content": "Be brief."}, *user(asking("text"))]
    first = complete(chat, stream, turns)
    assert first.choices[0].message.content and first.choices[0].finish_reason == "stop"
    assert first.usage.completion_tokens == len(first.choices[0].message.content.split())
    second = complete(chat, stream, [*turns, *user(asking("text"))])
    assert second.choices[0].message.content and second.usage.prompt_tokens > first.usage.prompt_tokens


@STREAMED
def test_chat_tools_in_a_loop_and_at_once(chat: openai.OpenAI, stream: bool) -> None:
    turns = user(asking("parallel_tools"))
    calls = complete(chat, stream, turns, tools=CHAT_TOOLS).choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["find", "hoist"]
    assert all(json.loads(call.function.arguments) == {"place": "Genoa"} for call in calls)
    turns += [{"role": "tool", "tool_call_id": call.id, "content": call.function.name} for call in calls]
    turns += user(asking("tool_loop:2"))
    for number in range(2):
        answer = complete(chat, stream, turns, tools=CHAT_TOOLS, extra_body={"reasoning": {"effort": "high"}})
        (call,) = answer.choices[0].message.tool_calls
        assert answer.choices[0].finish_reason == "tool_calls"
        turns.append({"role": "tool", "tool_call_id": call.id, "content": f"result {number}"})
    assert '"result 1"' in complete(chat, stream, turns, tools=CHAT_TOOLS).choices[0].message.content


@STREAMED
def test_chat_custom_tools(chat: openai.OpenAI, stream: bool) -> None:
    tools: Any = [{"type": "custom", "custom": {"name": "sail", "format": {"type": "text"}}}]
    asked: Any = {"model": MODEL, "messages": user(asking("tool")), "tools": tools}
    if stream:
        chunks = list(chat.chat.completions.create(**asked, stream=True))
        pieces: Any = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        written = "".join((piece.model_extra or {}).get("custom", {}).get("input") or "" for piece in pieces)
    else:
        (call,) = chat.chat.completions.create(**asked).choices[0].message.tool_calls or ()
        assert call.type == "custom"
        written = call.custom.input
    assert written == "Genoa, then the cape"


@STREAMED
def test_chat_reasoning_comes_back_with_its_turn(chat: openai.OpenAI, stream: bool) -> None:
    turns = user(asking("redacted"))
    message = complete(chat, stream, turns, extra_body={"reasoning": {"effort": "high"}}).choices[0].message
    details = message.model_extra["reasoning_details"]
    assert {detail["type"] for detail in details} == {"reasoning.summary", "reasoning.encrypted"}
    assert {detail["format"] for detail in details} == {"openai-responses-v1"}
    assert message.model_extra["reasoning"]
    turns += user(asking("text"))
    assert complete(chat, stream, turns).choices[0].message.content


@STREAMED
def test_chat_formats_images_and_limits(chat: openai.OpenAI, stream: bool) -> None:
    schema = {"name": "place", "schema": CLOSED, "strict": True}
    form: Any = {"type": "json_schema", "json_schema": schema}
    answer = complete(chat, stream, user(asking("structured")), response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"place": "Genoa"}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    seen = complete(chat, stream, user([image, {"type": "text", "text": asking("image")}]))
    assert "image/png of 21 bytes" in seen.choices[0].message.content
    short = chat.chat.completions.with_raw_response.create(model=MODEL, messages=user(asking("length")), max_tokens=3)
    assert short.headers["x-portolan-dropped-parameters"] == "max_tokens"
    assert short.parse().choices[0].finish_reason == "length"
    declined = complete(chat, stream, user(asking("refusal"))).choices[0].message
    assert declined.refusal == "I cannot help with that."


@STREAMED
def test_chat_citations_of_a_search(chat: openai.OpenAI, stream: bool) -> None:
    turns = user(asking("hosted"))
    if stream:
        chunks = chat.chat.completions.create(model=MODEL, messages=turns, stream=True)
        deltas = [choice.delta.model_extra or {} for chunk in chunks for choice in chunk.choices]
        found: Any = [one for delta in deltas for one in delta.get("annotations") or ()]
        assert [one["url_citation"]["url"] for one in found] == ["https://harbour.example/tides"]
        return
    message = complete(chat, stream, turns).choices[0].message
    assert [one.url_citation.url for one in message.annotations] == ["https://harbour.example/tides"]
    assert complete(chat, stream, [*turns, *user(asking("text"))]).choices[0].message.content


def test_chat_failures(chat: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL}
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError):
            chat.chat.completions.create(**asked, messages=user(asking("error_before:429")), stream=stream)
    with pytest.raises(openai.APIStatusError) as raised:
        chat.chat.completions.create(**asked, messages=user(asking("failed")))
    assert raised.value.status_code == 502 and "failed to generate" in str(raised.value)
    for scenario in ("error_mid", "cut", "failed"):
        with pytest.raises(openai.APIError):
            list(chat.chat.completions.create(**asked, messages=user(asking(scenario)), stream=True))


def test_a_client_that_leaves_stops_the_provider(chat: openai.OpenAI, world: Stack) -> None:
    before = world.lab.cancelled[ENDPOINT]
    stream = chat.chat.completions.create(model=MODEL, messages=user(asking("slow:0.5")), stream=True)
    next(iter(stream))
    stream.close()
    until(lambda: world.lab.cancelled[ENDPOINT] > before, "the provider's connection is closed")


@STREAMED
def test_messages_text_and_a_second_turn(messages: anthropic.Anthropic, stream: bool) -> None:
    turns = user(asking("text"))
    first = converse(messages, stream, turns, system="Be brief.")
    assert first.stop_reason == "end_turn" and first.usage.output_tokens == len(first.content[0].text.split())
    assert converse(messages, stream, [*turns, *user(asking("text"))]).content[0].text


@STREAMED
def test_messages_tools_in_a_loop_with_thinking(messages: anthropic.Anthropic, stream: bool) -> None:
    turns = user(asking("tool_loop:3"))
    for number in range(3):
        message = converse(messages, stream, turns, tools=MESSAGE_TOOLS, thinking=THINKING)
        (call,) = [block for block in message.content if block.type == "tool_use"]
        thoughts = [block for block in message.content if block.type in ("thinking", "redacted_thinking")]
        assert message.stop_reason == "tool_use" and bool(thoughts) == (number == 0)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": f"result {number}"}
        turns.append({"role": "user", "content": [result]})
    final = converse(messages, stream, turns, tools=MESSAGE_TOOLS, thinking=THINKING)
    assert '"result 2"' in final.content[-1].text
    turns += user(asking("parallel_tools"))
    calls = converse(messages, stream, turns, tools=MESSAGE_TOOLS).content
    assert [block.name for block in calls if block.type == "tool_use"] == ["find", "hoist"]


@STREAMED
def test_messages_reasoning_images_formats_and_ends(messages: anthropic.Anthropic, stream: bool) -> None:
    turns = user(asking("redacted"))
    message = converse(messages, stream, turns, thinking=THINKING)
    assert message.content[0].type == "thinking" and message.content[0].thinking and message.content[-1].text
    assert converse(messages, stream, [*turns, *user(asking("text"))], thinking=THINKING).content
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    seen = converse(messages, stream, user([image, {"type": "text", "text": asking("image")}]))
    assert "image/png of 21 bytes" in seen.content[0].text
    form: Any = {"format": {"type": "json_schema", "schema": CLOSED}}
    made = converse(messages, stream, user(asking("structured")), output_config=form)
    assert json.loads(made.content[0].text) == {"place": "Genoa"}
    assert converse(messages, stream, user(asking("length")), max_tokens=20).stop_reason == "max_tokens"


def test_messages_failures(messages: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 2048}
    for stream in (False, True):
        with pytest.raises(anthropic.RateLimitError):
            messages.messages.create(**asked, messages=user(asking("error_before:429")), stream=stream)
    for scenario in ("error_mid", "cut", "failed"):
        with pytest.raises(anthropic.APIError):
            list(messages.messages.create(**asked, messages=user(asking(scenario)), stream=True))
