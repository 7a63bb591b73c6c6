"""Test chat completions and the catalogue with OpenRouter's SDK for Python, which validates every shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openrouter
import pytest
from openrouter import errors
from openrouter.utils import RetryConfig

from tests.clients.served import PNG, PNG_BYTES, ServedModel, asking, calling

pytestmark = [pytest.mark.slow, pytest.mark.client("openrouter for Python")]
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "find_port",
        "description": "Find a port",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def open_sdk(served: ServedModel, **options: Any) -> openrouter.OpenRouter:
    """Return a client. By itself the SDK tries again for an hour after an error of a server."""
    options = {"api_key": served.stack.key, "retry_config": RetryConfig("none", None, False)} | options
    return openrouter.OpenRouter(server_url=f"{served.stack.url}/api/v1", **options)


@pytest.fixture
def client(served: ServedModel) -> Iterator[openrouter.OpenRouter]:
    with open_sdk(served) as made:
        yield made


def said(prompt: Any) -> list[Any]:
    """Return a conversation that begins with ``prompt``."""
    return [{"role": "user", "content": prompt}]


@WAYS
def test_a_text_is_answered(client: openrouter.OpenRouter, served: ServedModel, stream: bool) -> None:
    body: Any = {"model": served.model, "messages": said(asking("text"))}
    if stream:
        with client.chat.send(**body, stream=True) as events:
            chunks = list(events)
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        usage, name = chunks[-1].usage, chunks[-1].model
    else:
        answer = client.chat.send(**body)
        text, usage, name = answer.choices[0].message.content, answer.usage, answer.model
    assert text and name == served.model
    assert usage.completion_tokens == len(text.split()) and usage.cost > 0


def test_a_tool_loop_comes_to_its_end(client: openrouter.OpenRouter, served: ServedModel) -> None:
    """The messages of the answers are sent back as the SDK has them."""
    turns = said(calling(("find_port", {"place": "Genoa"}), ("find_port", {"place": "Zena"})))
    check_loop(client, served.model, turns)


def test_a_tool_loop_with_reasoning(thinking: ServedModel) -> None:
    turns = said(calling(("find_port", {"place": "Genoa"}), ("find_port", {"place": "Zena"})))
    with open_sdk(thinking) as client:
        check_loop(client, thinking.model, turns, reasoning={"effort": "high"})
    assert turns[1].reasoning and [one.type for one in turns[1].reasoning_details] == ["reasoning.text"]


def check_loop(client: openrouter.OpenRouter, model: str, turns: list[Any], **body: Any) -> None:
    found = []
    for _ in range(4):
        choice = client.chat.send(model=model, messages=turns, tools=[TOOL], **body).choices[0]
        turns.append(choice.message)
        if choice.finish_reason == "stop":
            break
        for call in choice.message.tool_calls:
            found.append(json.loads(call.function.arguments)["place"])
            turns.append({"role": "tool", "tool_call_id": call.id, "content": f"{found[-1]} has been found"})
    assert found == ["Genoa", "Zena"]
    assert turns[-1].content.count("has been found") == 2


def test_reasoning_and_calls_are_streamed(thinking: ServedModel) -> None:
    body: Any = {
        "model": thinking.model,
        "messages": said(calling(("find_port", {"place": "Genoa"}))),
        "tools": [TOOL],
        "reasoning": {"effort": "high"},
        "stream": True,
    }
    with open_sdk(thinking) as client, client.chat.send(**body) as events:
        deltas = [choice.delta for chunk in events for choice in chunk.choices]
    assert "".join(delta.reasoning or "" for delta in deltas)
    assert any(delta.reasoning_details for delta in deltas)
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert json.loads("".join(call.function.arguments or "" for call in calls)) == {"place": "Genoa"}


def test_the_output_follows_a_schema(client: openrouter.OpenRouter, served: ServedModel) -> None:
    schema = {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "harbour", "strict": True, "schema": schema}}
    answer = client.chat.send(model=served.model, messages=said(asking("structured")), response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"place": "Genoa"}


def test_an_image_is_seen(client: openrouter.OpenRouter, served: ServedModel) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    answer = client.chat.send(model=served.model, messages=said([{"type": "text", "text": asking("image")}, image]))
    assert f"image/png of {len(PNG_BYTES)} bytes" in answer.choices[0].message.content


# The SDK warns of a field of the key that the contract still requires.
@pytest.mark.filterwarnings("ignore:warning. \\*\\* DEPRECATED:DeprecationWarning")
def test_the_catalogue_and_the_account(client: openrouter.OpenRouter, served: ServedModel) -> None:
    answer = client.chat.send(model=served.model, messages=said(asking("text")))
    generation = client.generations.get_generation(id=answer.id).data
    assert generation.model == served.model and generation.total_cost == pytest.approx(answer.usage.cost)
    author, slug = served.model.split("/")
    assert served.model in {model.id for model in client.models.list().result.data}
    assert client.models.get(author=author, slug=slug).data.id == served.model
    assert client.models.count().data.count > 300
    assert client.endpoints.list(author=author, slug=slug).data.endpoints
    assert client.providers.list().data
    assert client.api_keys.get_current_key_metadata().data.usage > 0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.BadRequestResponseError),
        (429, errors.TooManyRequestsResponseError),
        (529, errors.ServiceUnavailableResponseError),
    ],
)
@WAYS
def test_a_refused_call_is_the_sdks_error(
    client: openrouter.OpenRouter, served: ServedModel, stream: bool, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        client.chat.send(model=served.model, messages=said(asking(f"error_before:{status}")), stream=stream)
    assert caught.value.data.error.message


def test_what_the_router_refuses_is_typed(client: openrouter.OpenRouter, served: ServedModel) -> None:
    with open_sdk(served, api_key="sk-or-v1-none") as other, pytest.raises(errors.UnauthorizedResponseError):
        other.chat.send(model=served.model, messages=said(asking("text")))
    with pytest.raises(errors.NotFoundResponseError):
        client.generations.get_generation(id="gen-none")
    assert client.chat.send(model=served.model, messages=said(asking("text"))).choices


def test_a_stream_that_fails_says_so(client: openrouter.OpenRouter, served: ServedModel) -> None:
    with client.chat.send(model=served.model, messages=said(asking("error_mid")), stream=True) as events:
        chunks = list(events)
    assert chunks[-1].error.message
