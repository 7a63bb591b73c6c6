"""Test middleware of another package, which the router finds by its entry point, on a running router.

Each test runs over every client API, streamed and not, in front of providers of both wire formats.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import lab.server
from lab.text import Ask, Completion
from router_service.middleware.middleware import load_middleware
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.router_service.conversation.recording_lab import RecordingLab
from tests.running import until

THIRD_PARTY = Path(__file__).parent / "third_party"
# The provider splits the word over three chunks.
CHUNKS = ("The ha", "r", "bour is near, the harbou", "r and the harbou")
SEEN = "The haven is near, the haven and the harbou"
FORBIDDEN = "a forbidden thing"
REFUSAL = "This installation answers no questions on that topic"
# Fields that any other encoder would write differently: escapes, blanks, the order of keys and digits.
RAW_FIELDS = (
    r'"messages":[ {"content":"A \u0068arbour\/quay, \u00e9",   "role":"user"} ]',
    '"temperature":0.700',
    '"logit_bias":{ "50256":-1.50,"13": 1e0 }',
)

over_skins = pytest.mark.parametrize("skin", ["messages", "chat", "responses", "completions"])
in_modes = pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
at_formats = pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4.5", "openai/gpt-4.1"])


def with_middleware(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("opened", [names], indirect=True, ids=["+".join(names)])


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Open a router with the named middleware, in front of a lab that always says ``CHUNKS``."""

    def complete(_ask: Ask, dice: random.Random) -> Completion:
        return Completion(CHUNKS, 10, False, None, dice.getrandbits(60))

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(THIRD_PARTY)
        patch.setattr(lab.server, "complete", complete)
        folder = tmp_path_factory.mktemp("middleware")
        with open_stack(folder, RecordingLab(time_scale=0, faults=False), middleware=list(request.param)) as stack:
            yield stack


@dataclass(frozen=True)
class SdkAnswer:
    """Hold what the official SDK of a client API read: the generation id, the text and the prompt and output tokens."""

    generation: str
    text: str
    tokens: tuple[int, int]


def ask(stack: Stack, skin: str, model: str, *, stream: bool, text: str = "hello") -> SdkAnswer:
    asked: dict[str, Any] = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    match skin:
        case "messages":
            return _ask_messages(stack, asked, stream)
        case "responses":
            return _ask_responses(stack, {"model": model, "max_output_tokens": 50, "input": text}, stream)
        case "completions":
            return _ask_completions(stack, {"model": model, "max_tokens": 50, "prompt": text}, stream)
    return _ask_chat(stack, asked, stream)


def _ask_messages(stack: Stack, asked: dict[str, Any], stream: bool) -> SdkAnswer:
    with anthropic.Anthropic(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
        if stream:
            with client.messages.stream(**asked) as found:
                message: anthropic.types.Message = found.get_final_message()
        else:
            message = client.messages.create(**asked)
    seen = "".join(block.text for block in message.content if block.type == "text")
    generation = "gen-" + message.id.removeprefix("msg_").replace("_", "-")
    return SdkAnswer(generation, seen, (message.usage.input_tokens, message.usage.output_tokens))


def _ask_chat(stack: Stack, asked: dict[str, Any], stream: bool) -> SdkAnswer:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client:
        if stream:
            with client.chat.completions.stream(**asked) as events:
                answer: Any = events.get_final_completion()
        else:
            answer = client.chat.completions.create(**asked)
    seen = answer.choices[0].message.content
    return SdkAnswer(answer.id, seen, (answer.usage.prompt_tokens, answer.usage.completion_tokens))


def _ask_responses(stack: Stack, asked: dict[str, Any], stream: bool) -> SdkAnswer:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client:
        if stream:
            with client.responses.stream(**asked) as events:
                answer: Any = events.get_final_response()
        else:
            answer = client.responses.create(**asked)
    generation = "gen-" + answer.id.removeprefix("resp_").replace("_", "-")
    return SdkAnswer(generation, answer.output_text, (answer.usage.input_tokens, answer.usage.output_tokens))


def _ask_completions(stack: Stack, asked: dict[str, Any], stream: bool) -> SdkAnswer:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0) as client:
        found: Any = client.completions.create(**asked, stream=stream)
        chunks = list(found) if stream else [found]
    seen = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    usage = chunks[-1].usage
    return SdkAnswer(chunks[0].id, seen, (usage.prompt_tokens, usage.completion_tokens))


def record(stack: Stack, generation: str) -> dict[str, Any]:
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    row = find_on_disk(stack.lake, generation)
    assert row is not None
    return row


@in_modes
@over_skins
@at_formats
@with_middleware("replace_word")
def test_a_word_that_chunks_split_is_replaced(opened: Stack, model: str, skin: str, stream: bool) -> None:
    seen = ask(opened, skin, model, stream=stream)
    assert seen.text == SEEN
    row = record(opened, seen.generation)
    assert (row["middleware"], row["stream"]) == (["replace_word"], stream)


@in_modes
@at_formats
@with_middleware("refuse_topic", "replace_word")
def test_the_chat_client_reads_a_refusal_before_dispatch(opened: Stack, model: str, stream: bool) -> None:
    assert record(opened, ask(opened, "chat", model, stream=stream).generation)["status"] == 200
    calls = sum(opened.lab.calls.values())
    with pytest.raises(openai.BadRequestError) as raised:
        ask(opened, "chat", model, stream=stream, text=FORBIDDEN)
    assert sum(opened.lab.calls.values()) == calls
    error = raised.value.response.json()["error"]
    assert error["message"] == REFUSAL
    assert (error["code"], error["metadata"]["error_type"]) == (400, "content_policy_violation")
    _check_refused(record(opened, raised.value.response.headers["x-generation-id"]), stream)


@in_modes
@at_formats
@with_middleware("refuse_topic", "replace_word")
def test_the_messages_client_reads_a_refusal_before_dispatch(opened: Stack, model: str, stream: bool) -> None:
    assert record(opened, ask(opened, "messages", model, stream=stream).generation)["status"] == 200
    calls = sum(opened.lab.calls.values())
    with pytest.raises(anthropic.BadRequestError) as raised:
        ask(opened, "messages", model, stream=stream, text=FORBIDDEN)
    assert sum(opened.lab.calls.values()) == calls
    body = raised.value.response.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert REFUSAL in body["error"]["message"]
    _check_refused(record(opened, raised.value.response.headers["x-generation-id"]), stream)


@in_modes
@at_formats
@with_middleware("refuse_topic", "replace_word")
def test_the_responses_client_reads_a_refusal_before_dispatch(opened: Stack, model: str, stream: bool) -> None:
    assert record(opened, ask(opened, "responses", model, stream=stream).generation)["status"] == 200
    calls = sum(opened.lab.calls.values())
    with pytest.raises(openai.BadRequestError) as raised:
        ask(opened, "responses", model, stream=stream, text=FORBIDDEN)
    assert sum(opened.lab.calls.values()) == calls
    body = raised.value.response.json()
    assert (body["status"], body["error_type"]) == ("failed", "content_policy_violation")
    assert body["error"]["message"] == REFUSAL
    _check_refused(record(opened, raised.value.response.headers["x-generation-id"]), stream)


def _check_refused(row: dict[str, Any], stream: bool) -> None:
    assert (row["status"], row["error_type"], row["stream"]) == (400, "content_policy_violation", stream)
    assert row["middleware"] == ["refuse_topic", "replace_word"]
    assert not row["attempts"] and not row["charges"]


@in_modes
@over_skins
@at_formats
@with_middleware("ask_twice")
def test_two_dispatches_are_two_steps_that_add_up(opened: Stack, model: str, skin: str, stream: bool) -> None:
    seen = ask(opened, skin, model, stream=stream)
    row = record(opened, seen.generation)
    assert [attempt["step"] for attempt in row["attempts"]] == [0, 1]
    assert [attempt["error_type"] for attempt in row["attempts"]] == [None, None]
    for meter, column in (("prompt", "prompt_tokens"), ("completion", "completion_tokens")):
        counts = [charge["quantity"] for charge in row["charges"] if charge["meter"] == meter]
        assert len(counts) == 2
        assert row[column] == sum(counts)
    assert row["cost_nano"] == sum(charge["nano"] for charge in row["charges"])
    assert seen.tokens == (row["prompt_tokens"], row["completion_tokens"])


@in_modes
@with_middleware("refuse_topic", "replace_word")
def test_an_unchanged_chat_request_reaches_the_provider_byte_for_byte(opened: Stack, stream: bool) -> None:
    assert isinstance(opened.lab, RecordingLab)
    before = len(opened.lab.exchanges)
    body = f'{{"model":"openai/gpt-4.1","stream":{json.dumps(stream)},{",".join(RAW_FIELDS)}}}'.encode()
    with opened.client as client:
        assert client.post("/v1/chat/completions", content=body).status_code == 200
    (sent,) = opened.lab.exchanges[before:]
    for field in RAW_FIELDS:
        assert field in sent.text


@in_modes
@with_middleware("ask_twice")
def test_a_chat_request_that_middleware_changes_is_written_anew(opened: Stack, stream: bool) -> None:
    assert isinstance(opened.lab, RecordingLab)
    before = len(opened.lab.exchanges)
    body = f'{{"model":"openai/gpt-4.1","stream":{json.dumps(stream)},{",".join(RAW_FIELDS)}}}'.encode()
    with opened.client as client:
        assert client.post("/v1/chat/completions", content=body).status_code == 200
    draft, better = opened.lab.exchanges[before:]
    assert RAW_FIELDS[0] in draft.text
    assert RAW_FIELDS[0] not in better.text
    asked, drafted, wanted = better.body["messages"]
    assert asked["content"] == draft.body["messages"][0]["content"] == "A harbour/quay, \u00e9"
    assert (drafted["content"], wanted["content"]) == ("draft", "better")
    assert better.body["temperature"] == 0.7


def test_an_unknown_name_is_refused_with_the_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    with pytest.raises(ValueError, match="middleware nobody is not installed; installed: ask_twice, refuse_topic"):
        load_middleware(["nobody"])
