"""Test Cohere's chat: its own SDK against the lab, and the SDKs of OpenAI and Anthropic through the router."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import cohere
import httpx
import openai
import pytest
from cohere.core.api_error import ApiError

from lab.server import Lab, create_app
from tests.clients.served import asking, calling, saying
from tests.conftest import Stack, serving

pytestmark = pytest.mark.slow
MODEL = "cohere/command-a"
FUNCTION = {
    "name": "find_port",
    "description": "Find a port",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
TOOL: Any = {"type": "function", "function": FUNCTION}
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def vendor() -> Iterator[cohere.ClientV2]:
    with serving(create_app(Lab(time_scale=0.0, faults=False))) as url:
        # The client does not close the connections that it makes by itself.
        with httpx.Client() as connections:
            yield cohere.ClientV2(api_key="any", base_url=f"{url}/cohere", httpx_client=connections)


@pytest.fixture
def client(strict_stack: Stack) -> Iterator[openai.OpenAI]:
    strict_stack.lab.refused.clear()
    with openai.OpenAI(base_url=f"{strict_stack.url}/v1", api_key=strict_stack.key, max_retries=0) as made:
        yield made
    assert not strict_stack.lab.refused


def test_the_lab_answers_coheres_own_client(vendor: cohere.ClientV2) -> None:
    found = vendor.chat(
        model="command-a-03-2025", messages=[{"role": "user", "content": saying("High tide is at six.")}]
    )
    assert found.message.content and found.finish_reason == "COMPLETE"
    assert found.usage and found.usage.billed_units and found.usage.billed_units.output_tokens
    whole = found.message.content[0].text  # type: ignore[union-attr]
    events = vendor.chat_stream(
        model="command-a-03-2025", messages=[{"role": "user", "content": saying("High tide is at six.")}]
    )
    pieces = [one.delta.message.content.text for one in events if one.type == "content-delta"]  # type: ignore[union-attr]
    assert "".join(piece or "" for piece in pieces) == whole


def test_the_lab_calls_tools_for_coheres_own_client(vendor: cohere.ClientV2) -> None:
    turns: Any = [{"role": "user", "content": calling(("find_port", {"place": "Genoa"}))}]
    found = vendor.chat(model="command-a-03-2025", messages=turns, tools=[TOOL])
    assert found.finish_reason == "TOOL_CALL" and found.message.tool_calls
    call = found.message.tool_calls[0]
    assert call.function and json.loads(call.function.arguments or "") == {"place": "Genoa"}
    turns += [found.message, {"role": "tool", "tool_call_id": call.id, "content": "found"}]
    assert vendor.chat(model="command-a-03-2025", messages=turns, tools=[TOOL]).finish_reason == "COMPLETE"
    with pytest.raises(ApiError) as refused:
        vendor.chat(model="command-a-03-2025", messages=turns[:2], tools=[TOOL])
    assert refused.value.status_code == 400 and "missing tool results" in refused.value.body["message"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"temperature": 1.5}, "temperature must be between 0 and 1"),
        ({"p": 1.0}, "p must be between"),
        ({"stop_sequences": ["a"] * 6}, "at most 5"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "not supported with RAG"),
        ({"tool_choice": "REQUIRED"}, "only be provided with tools"),
    ],
)
def test_the_lab_refuses_what_cohere_refuses(vendor: cohere.ClientV2, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ApiError) as refused:
        vendor.chat(model="command-a-03-2025", messages=[{"role": "user", "content": "Hi"}], **fields)
    assert refused.value.status_code == 400 and sentence in refused.value.body["message"]


def complete(client: openai.OpenAI, stream: bool, **body: Any) -> Any:
    body = {"model": MODEL, "extra_body": {"provider": {"only": ["cohere"]}}} | body
    if not stream:
        return client.chat.completions.create(**body)
    with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


@WAYS
@pytest.mark.client("openai for Python")
def test_a_text_is_answered(client: openai.OpenAI, strict_stack: Stack, stream: bool) -> None:
    found = complete(client, stream, messages=[{"role": "user", "content": asking("text")}], temperature=2, user="ann")
    assert found.choices[0].message.content and found.choices[0].finish_reason == "stop"
    assert found.usage.completion_tokens == len(found.choices[0].message.content.split())
    row = strict_stack.record(found.id)
    assert row is not None and (row["wire_format"], row["provider"]) == ("cohere", "cohere")
    assert row["dropped_parameters"] == ["temperature", "user"] and row["cost_nano"] > 0


@WAYS
@pytest.mark.client("openai for Python")
def test_a_tool_loop_comes_to_its_end(client: openai.OpenAI, stream: bool) -> None:
    wanted = [("find_port", {"place": "Genoa"}), ("find_port", {"place": "Zena"})]
    turns: list[Any] = [{"role": "user", "content": calling(*wanted)}]
    found = []
    for _ in range(4):
        answer = complete(client, stream, messages=turns, tools=[TOOL])
        message = answer.choices[0].message
        turns.append(message)
        if answer.choices[0].finish_reason == "stop":
            break
        for call in message.tool_calls:
            found.append((call.function.name, json.loads(call.function.arguments)))
            turns.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is done"})
    assert found == wanted and message.content.count("is done") == 2


@WAYS
@pytest.mark.client("openai for Python")
def test_the_output_follows_a_schema(client: openai.OpenAI, stream: bool) -> None:
    schema = {"type": "object", "properties": {"depth": {"type": "integer"}}, "required": ["depth"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "depth", "schema": schema}}
    found = complete(client, stream, messages=[{"role": "user", "content": "How deep?"}], response_format=form)
    assert isinstance(json.loads(found.choices[0].message.content)["depth"], int)


@pytest.mark.client("anthropic for Python")
def test_a_message_is_answered(strict_stack: Stack) -> None:
    with anthropic.Anthropic(base_url=strict_stack.url, api_key=strict_stack.key, max_retries=0) as made:
        body: Any = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": asking("text")}]}
        whole = made.messages.create(**body)
        with made.messages.stream(**body) as events:
            streamed = events.get_final_message()
    assert whole.content[0].type == "text" and whole.content[0].text
    assert streamed.content[0].type == "text" and streamed.stop_reason == "end_turn"
    assert not strict_stack.lab.refused
