"""Test the responses API on a running router with the official SDK, in front of providers of both wire formats."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import openrouter
import pytest

from tests.clients.served import MODELS, asking
from tests.conftest import Stack
from tests.router_service.api.skins.responses.response_client import (
    OVERFLOW,
    STREAMED,
    Harbour,
    ask,
    kinds,
    record,
    said,
)
from tests.router_service.api.skins.responses.responses_grammar import check_stream, types_of


@STREAMED
def test_a_text_is_answered_and_logged(stack: Stack, client: openai.OpenAI, model: str, stream: bool) -> None:
    response = ask(
        client,
        stream,
        model=model,
        instructions="Be brief.",
        input=asking("text"),
        metadata={"trip": "1"},
        user="pilot",
        store=True,
        max_output_tokens=500,
    )
    assert (response.status, response.model, response.metadata) == ("completed", model, {"trip": "1"})
    assert response.output_text and kinds(response) == ["message"]
    assert response.usage is not None
    assert response.usage.output_tokens == len(response.output_text.split())
    assert response.model_extra is not None and response.model_extra["store"] is False
    row = record(stack, response.id)
    assert (row["skin"], row["stream"], row["status"], row["requested_model"]) == ("responses", stream, 200, model)
    assert row["completion_tokens"] == response.usage.output_tokens
    assert row["cost_nano"] == round(response.usage.model_extra["cost"] * 1e9) > 0  # type: ignore[index]


def test_a_generation_is_found_by_the_header(stack: Stack, model: str) -> None:
    with stack.client as client:
        made = client.post("/v1/responses", json={"model": model, "input": asking("text")})
        generation = made.headers["x-generation-id"]
        assert made.json()["id"] == "resp_" + generation.removeprefix("gen-").replace("-", "_")
        found = client.get("/api/v1/generation", params={"id": generation}).json()["data"]
    assert found["model"] == model
    assert found["native_tokens_completion"] == made.json()["usage"]["output_tokens"]


@STREAMED
def test_the_text_ends_early(client: openai.OpenAI, model: str, stream: bool) -> None:
    response = ask(client, stream, model=model, input=said("length"), max_output_tokens=16)
    assert response.status == "incomplete" and response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[-1].status == "incomplete"  # type: ignore[union-attr]


@STREAMED
def test_a_refusal_is_told(client: openai.OpenAI, model: str, stream: bool) -> None:
    response = ask(client, stream, model=model, input=said("refusal"))
    (item,) = response.output
    assert item.type == "message"
    told = [one.type for one in item.content]
    assert told == ["refusal"] or response.incomplete_details.reason == "content_filter"  # type: ignore[union-attr]


def test_citations_are_annotations_of_the_text(client: openai.OpenAI) -> None:
    response = ask(client, True, model=MODELS["openai_chat"], input=said("citations"))
    content = response.output[0].content[0]  # type: ignore[union-attr]
    assert content.annotations[0].type == "url_citation"


@STREAMED
def test_log_probabilities_are_returned(stack: Stack, client: openai.OpenAI, stream: bool) -> None:
    response = ask(
        client,
        stream,
        model="openai/gpt-4.1",
        input=said("logprobs"),
        top_logprobs=2,
        include=["message.output_text.logprobs"],
    )
    content = response.output[0].content[0]  # type: ignore[union-attr]
    assert content.logprobs and content.logprobs[0].bytes == list(content.logprobs[0].token.encode())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"previous_response_id": "resp_1"}, "send the earlier input and output items again"),
        ({"background": True}, "send stream: true"),
        ({"conversation": "conv_1"}, "send the conversation's items"),
        ({"prompt": {"id": "pmpt_1"}}, "send the prompt's text"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "send the item itself"),
        ({"temperature": 7}, "a number from 0 to 2"),
    ],
)
@STREAMED
def test_what_is_not_served_is_refused_with_what_to_send(
    client: openai.OpenAI, fields: dict[str, Any], sentence: str, stream: bool
) -> None:
    body: dict[str, Any] = {"model": MODELS["openai_chat"], "input": "hello", "stream": stream} | fields
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**body)
    assert sentence in refused.value.message
    (field,) = fields
    assert refused.value.param is not None and refused.value.param.startswith(field)
    assert refused.value.type == "invalid_request_error"


def test_errors_have_their_status_and_the_generation(stack: Stack, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not a valid model ID"):
        client.responses.create(model="acme/unknown", input="hello")
    with (
        openai.OpenAI(base_url=f"{stack.url}/v1", api_key="sk-or-v1-wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        stranger.responses.create(model=MODELS["openai_chat"], input="hello")
    body = raised.value.response.json()
    assert (body["status"], body["error_type"], body["error"]["code"]) == ("failed", "authentication", 401)
    assert body["id"].startswith("resp_")


@pytest.mark.parametrize(("status", "kind"), [(429, openai.RateLimitError), (500, openai.InternalServerError)])
@STREAMED
def test_a_provider_that_fails_is_the_sdks_error(
    client: openai.OpenAI, model: str, status: int, kind: type[Exception], stream: bool
) -> None:
    with pytest.raises(kind):
        client.responses.create(model=model, input=asking(f"error_before:{status}"), stream=stream)


@pytest.mark.parametrize("scenario", ["error_mid", "cut"])
def test_a_stream_that_breaks_ends_with_its_failure(client: openai.OpenAI, model: str, scenario: str) -> None:
    raw = client.responses.with_raw_response.create(model=model, input=asking(scenario), stream=True)
    events = check_stream(raw.http_response.read())
    assert types_of(events)[-2:] == ["error", "failed"]
    assert events[-1]["response"]["error"]["code"] == "server_error"
    with client.responses.stream(model=model, input=asking(scenario)) as sdk:
        assert list(sdk)[-1].type == "response.failed"


@STREAMED
def test_a_prompt_that_is_too_long_is_a_response_that_ended_at_its_length(
    stack: Stack, client: openai.OpenAI, stream: bool
) -> None:
    """The record keeps the error that the provider told."""
    body: dict[str, Any] = {"model": "openai/gpt-oss-120b", "input": OVERFLOW}
    response = ask(client, stream, **body, extra_body={"provider": {"only": ["groq"]}})
    assert response.status == "incomplete" and response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    row = record(stack, response.id)
    assert (row["status"], row["error_type"]) == (400, "context_length_exceeded")


def test_a_silent_stream_gets_comments_before_and_after_its_first_event(stack: Stack) -> None:
    """Proxies and SDKs end a connection on which nothing arrives."""
    body = {"model": "openai/gpt-oss-120b", "input": "hello", "stream": True, "provider": {"only": ["groq"]}}
    for mode, begins in (("hang", False), ("stall", True)):
        stack.lab.modes["groq"] = {"mode": mode}
        with stack.client as client, client.stream("POST", "/v1/responses", json=body) as answer:
            lines = answer.iter_lines()
            if begins:
                next(line for line in lines if line == "event: response.output_text.delta")
            assert next(line for line in lines if line.startswith(":")) == ": OPENROUTER PROCESSING"
    del stack.lab.modes["groq"]


def test_metadata_of_the_routing_is_added_where_it_is_asked_for(stack: Stack, model: str) -> None:
    body = {"model": model, "input": asking("text")}
    with stack.client as client:
        headers = {"x-openrouter-metadata": "enabled"}
        response = client.post("/v1/responses", json=body, headers=headers).json()
        streamed = client.post("/v1/responses", json=body | {"stream": True}, headers=headers)
    assert response["openrouter_metadata"]["requested"] == model
    last = check_stream(streamed.content)[-1]["response"]
    assert last["openrouter_metadata"]["requested"] == model


def test_both_prefixes_are_served(stack: Stack) -> None:
    for prefix in ("/api/v1", "/v1"):
        assert httpx2.post(f"{stack.url}{prefix}/responses", json={}).status_code == 401
        assert httpx2.get(f"{stack.url}{prefix}/responses").status_code == 405


def test_the_next_model_is_tried(stack: Stack, client: openai.OpenAI) -> None:
    extra = {"models": [MODELS["anthropic_messages"]], "provider": {"ignore": ["openai", "azure"]}}
    response = client.responses.create(model=MODELS["openai_chat"], input=asking("text"), extra_body=extra)
    assert response.model == MODELS["anthropic_messages"]


def test_the_healing_plugin_acts_on_responses(client: openai.OpenAI, model: str) -> None:
    extra = {"plugins": [{"id": "response-healing"}]}
    response = client.responses.parse(model=model, input=said("structured"), text_format=Harbour, extra_body=extra)
    assert isinstance(response.output_parsed, Harbour)


@STREAMED
@pytest.mark.parametrize("scenario", ["text", "tool", "parallel_tools", "thinking", "length", "refusal"])
def test_the_references_sdk_validates_every_shape(stack: Stack, model: str, scenario: str, stream: bool) -> None:
    tool = {"type": "function", "name": "find_port", "parameters": {"type": "object", "properties": {}}}
    body: dict[str, Any] = {"model": model, "input": asking(scenario), "max_output_tokens": 5000}
    if "tool" in scenario:
        body["tools"] = [tool]
    if scenario == "thinking":
        body["reasoning"] = {"effort": "low"}
    with openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as client:
        if stream:
            with client.responses.send(**body, stream=True) as events:
                assert [*events][-1].type in ("response.completed", "response.incomplete")
        else:
            assert client.responses.send(**body).output
