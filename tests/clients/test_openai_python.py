"""Test chat completions with the official OpenAI SDK for Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

from tests.clients.served import PDF, PNG, PNG_BYTES, ServedModel, asking, calling

pytestmark = [pytest.mark.slow, pytest.mark.client("openai for Python")]
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["create", "stream"])


class Harbour(pydantic.BaseModel):
    """A harbour."""

    place: str
    depth: int


class FindPort(pydantic.BaseModel):
    """Find a port."""

    place: str


FIND_PORT = openai.pydantic_function_tool(FindPort, name="find_port")
HOIST = openai.pydantic_function_tool(pydantic.create_model("Hoist", flag=(bool, ...)), name="hoist")


@pytest.fixture
def client(served: ServedModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.stack.url}/api/v1", api_key=served.stack.key, max_retries=0) as made:
        yield made


def said(prompt: str) -> list[Any]:
    """Return a conversation that begins with ``prompt``."""
    return [{"role": "user", "content": prompt}]


def complete(client: openai.OpenAI, stream: bool, **body: Any) -> Any:
    """Return a completion, whole or from the stream helper."""
    if not stream:
        return client.chat.completions.parse(**body)
    with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


@WAYS
def test_a_text_is_answered(client: openai.OpenAI, served: ServedModel, stream: bool) -> None:
    answer = complete(client, stream, model=served.model, messages=said(asking("text")))
    message = answer.choices[0].message
    assert message.role == "assistant" and message.content and answer.choices[0].finish_reason == "stop"
    assert answer.model == served.model and answer.id.startswith("gen-")
    assert answer.usage.completion_tokens == len(message.content.split())
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.model_extra["cost"] > 0


def test_the_plain_stream_has_one_usage_at_its_end(client: openai.OpenAI, served: ServedModel) -> None:
    chunks = list(client.chat.completions.create(model=served.model, messages=said(asking("text")), stream=True))
    assert {chunk.id for chunk in chunks} == {chunks[0].id} and {chunk.object for chunk in chunks} == {
        "chat.completion.chunk"
    }
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]


def test_the_stream_helper_tells_events(client: openai.OpenAI, served: ServedModel) -> None:
    body: Any = {"model": served.model, "messages": said(calling(("find_port", {"place": "Genoa"})))}
    with client.chat.completions.stream(**body, tools=[FIND_PORT]) as events:
        kinds = [event.type for event in events]
        call = events.get_final_completion().choices[0].message.tool_calls[0]
    assert {"content.delta", "content.done"} <= set(kinds)
    assert kinds.count("tool_calls.function.arguments.done") == 1
    assert "tool_calls.function.arguments.delta" in kinds
    assert call.function.parsed_arguments == FindPort(place="Genoa")


@WAYS
@pytest.mark.parametrize("beside_tools", [False, True], ids=["alone", "beside tools"])
def test_the_output_is_parsed(client: openai.OpenAI, served: ServedModel, stream: bool, beside_tools: bool) -> None:
    tools: Any = {"tools": [FIND_PORT], "tool_choice": "none"} if beside_tools else {}
    body: Any = {"model": served.model, "messages": said("Describe the harbour."), "response_format": Harbour} | tools
    assert complete(client, stream, **body).choices[0].message.parsed == Harbour(place="Genoa", depth=7)


def test_json_mode_gives_an_object(client: openai.OpenAI, served: ServedModel) -> None:
    messages = said("Give JSON with the keys 'place' and 'depth'.")
    answer = client.chat.completions.create(
        model=served.model, messages=messages, response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content or "") == {"place": "Genoa", "depth": "Genoa"}


@WAYS
def test_a_tool_loop_comes_to_its_end(client: openai.OpenAI, served: ServedModel, stream: bool) -> None:
    """The messages of the answers are sent back as the SDK has them."""
    wanted = [("find_port", {"place": "Genoa"}), ("hoist", {"flag": True}), ("find_port", {"place": "Zena"})]
    turns = said(calling(*wanted))
    found = []
    for _ in range(5):
        answer = complete(client, stream, model=served.model, messages=turns, tools=[FIND_PORT, HOIST])
        message = answer.choices[0].message
        turns.append(message)
        if answer.choices[0].finish_reason == "stop":
            break
        assert answer.choices[0].finish_reason == "tool_calls"
        for call in message.tool_calls:
            found.append((call.function.name, json.loads(call.function.arguments)))
            turns.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is done"})
    assert found == wanted
    assert message.content.count("is done") == 3


@WAYS
def test_tools_are_called_in_parallel(client: openai.OpenAI, served: ServedModel, stream: bool) -> None:
    turns = said(asking("parallel_tools"))
    body: Any = {"model": served.model, "tools": [FIND_PORT, HOIST]}
    message = complete(client, stream, messages=turns, **body).choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["find_port", "hoist"]
    assert len({call.id for call in message.tool_calls}) == 2
    turns += [message, *({"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls)]
    turns += said(asking("text"))
    assert complete(client, stream, messages=turns, **body).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "hoist"}}], ids=str)
def test_a_tool_is_forced(client: openai.OpenAI, served: ServedModel, choice: Any) -> None:
    answer = client.chat.completions.create(
        model=served.model, messages=said("Hello"), tools=[FIND_PORT, HOIST], tool_choice=choice
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    assert call.type == "function" and call.function.name == ("find_port" if choice == "required" else "hoist")


def test_images_and_documents_are_seen(client: openai.OpenAI, served: ServedModel) -> None:
    parts: list[Any] = [
        {"type": "text", "text": asking("image")},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        {"type": "file", "file": {"filename": "chart.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ]
    messages: Any = [{"role": "user", "content": parts}]
    answer = client.chat.completions.create(model=served.model, messages=messages)
    assert f"image/png of {len(PNG_BYTES)} bytes" in (answer.choices[0].message.content or "")


@WAYS
def test_reasoning_is_shown_and_sent_back(thinking: ServedModel, stream: bool) -> None:
    """The SDK keeps fields that it does not know, so the history has the reasoning and its details."""
    served = thinking
    with openai.OpenAI(base_url=f"{served.stack.url}/api/v1", api_key=served.stack.key, max_retries=0) as client:
        turns = said(calling(("find_port", {"place": "Genoa"})))
        body: Any = {"model": served.model, "tools": [FIND_PORT], "extra_body": {"reasoning": {"effort": "high"}}}
        message = complete(client, stream, messages=turns, **body).choices[0].message
        assert message.model_extra["reasoning"]
        assert [one["type"] for one in message.model_extra["reasoning_details"]] == ["reasoning.text"]
        turns += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "found"}]
        last = complete(client, stream, messages=turns, **body).choices[0]
        assert last.finish_reason == "stop" and "found" in last.message.content


def test_log_probabilities_and_choices(client: openai.OpenAI, served: ServedModel) -> None:
    """The other wire format has neither, so no endpoint of it is asked if both are required."""
    body: Any = {
        "model": "openai/gpt-4.1",
        "messages": said(asking("text")),
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
    }
    if served.wire_format != "openai_chat":
        body |= {"model": served.model, "extra_body": {"provider": {"require_parameters": True}}}
        for left_out in ((), ("logprobs", "top_logprobs")):
            required = {name: value for name, value in body.items() if name not in left_out}
            with pytest.raises(openai.APIStatusError) as caught:
                client.chat.completions.create(**required)
            assert caught.value.status_code == 404 and "require_parameters" in caught.value.message
        client.chat.completions.create(model=served.model, messages=said(asking("text")))
        return
    answer = client.chat.completions.create(**body)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(len(one.top_logprobs) == 2 for choice in answer.choices for one in choice.logprobs.content)


async def test_the_asynchronous_client(served: ServedModel) -> None:
    url = f"{served.stack.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=served.stack.key, max_retries=0) as client:
        assert (await client.chat.completions.create(model=served.model, messages=said(asking("text")))).choices
        async with client.chat.completions.stream(model=served.model, messages=said(asking("text"))) as events:
            assert (await events.get_final_completion()).choices[0].message.content


@WAYS
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_a_refused_call_is_the_sdks_error(
    client: openai.OpenAI, served: ServedModel, stream: bool, status: int, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        complete(client, stream, model=served.model, messages=said(asking(f"error_before:{status}")))
    body: Any = caught.value.body
    assert body["message"] and body["code"] == caught.value.status_code
    assert caught.value.request_id


def test_a_stream_that_fails_is_the_sdks_error(client: openai.OpenAI, served: ServedModel) -> None:
    pieces = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(
            model=served.model, messages=said(asking("error_mid")), stream=True
        ):
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    assert pieces and caught.value.message and not isinstance(caught.value, openai.APIConnectionError)


def test_what_the_router_refuses_is_typed(client: openai.OpenAI, served: ServedModel) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-or-v1-none").chat.completions.create(
            model=served.model, messages=said(asking("text"))
        )
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        create(model="openai/no-such-model", messages=said(asking("text")))
    assert "openai/no-such-model" in caught.value.message
    with pytest.raises(openai.BadRequestError):
        create(model=served.model, messages=[])
    assert create(model=served.model, messages=said(asking("text"))).choices


def test_models_are_listed(client: openai.OpenAI, served: ServedModel) -> None:
    assert served.model in {model.id for model in client.models.list()}
    assert client.models.retrieve(served.model).id == served.model
    client.chat.completions.create(model=served.model, messages=said(asking("text")))
