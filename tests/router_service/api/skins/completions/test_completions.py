"""Test the legacy completions API: what is read, what is refused, and what the answer becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from openai.types import Completion

from data.catalogue import load_catalogue
from lab.server import Lab
from router_service.api.skins.completions.endpoint import CompletionsEndpoint
from router_service.api.skins.completions.parse import READ_FIELDS
from router_service.core.answer import EventBatch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, PartBegan, PartDelta, PartEnded
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest, Message, OutputFormat, ReasoningOptions, Sampling
from router_service.core.parts import CacheMark, Media, Opaque, Reasoning, Refusal, Text
from router_service.core.request import receive_request
from router_service.telemetry.lookup import find_on_disk
from tests.clients.served import MODELS, asking
from tests.conftest import Stack, open_stack
from tests.event_streams import event_streams
from tests.running import until

CATALOGUE = load_catalogue()
MODEL = "openai/gpt-oss-120b"
ASKED: dict[str, Any] = {"model": MODEL, "prompt": "Once"}


class CompletionRendering:
    """Hold a request to the skin, whose answer is made of events."""

    def __init__(self, **fields: Any) -> None:
        self.endpoint = CompletionsEndpoint(CATALOGUE)
        content = json.dumps(ASKED | fields).encode()
        self.exchange = Exchange(receive_request("completions", {}).with_body(content))
        self.parsed = self.endpoint.parse(self.exchange, b"", CATALOGUE)
        self.exchange.outcome.model = MODEL

    @property
    def generation(self) -> GenerationRequest:
        return self.parsed.source.parsed

    def response(self, events: list[Event]) -> dict[str, Any]:
        """Return the non-streaming response."""
        _, body = self.endpoint.response(self.exchange, self.parsed, [EventBatch(events)])
        found: dict[str, Any] = json.loads(body)
        return found

    def chunks(self, events: list[Event]) -> list[dict[str, Any]]:
        """Return the chunks of a stream."""
        _, renderer = self.endpoint.stream(self.exchange, self.parsed)
        sent = renderer.render([EventBatch(events)])
        assert renderer.over
        return read_chunks(sent)


def read_chunks(sent: bytes) -> list[dict[str, Any]]:
    *lines, done, end = sent.decode().split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def texts(chunks: list[dict[str, Any]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        found[choice["index"]] = found.get(choice["index"], "") + choice["text"]
    return found


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_a_prompt_is_the_message_of_a_user(prompt: Any) -> None:
    rendering = CompletionRendering(prompt=prompt)
    assert rendering.generation.messages == [Message(role="user", parts=[Text(text="Once")])]
    head = rendering.exchange.request.head
    assert head is not None and head.messages == b'[{"role":"user","content":"Once"}]'


def test_parameters_are_read() -> None:
    generation = CompletionRendering(
        max_tokens=9,
        temperature=0.5,
        n=2,
        stop="x",
        logprobs=3,
        best_of=2,
        echo=False,
        suffix="",
        user="u",
        metadata={"a": "b"},
        service_tier="fast",
        reasoning={"effort": "low"},
        stream=True,
        prompt_cache_key="k",
        unknown=1,
    ).generation
    assert generation.sampling == Sampling(temperature=0.5, n=2, stop=["x"], logprobs=True, top_logprobs=3)
    assert (generation.max_tokens, generation.user, generation.metadata) == (9, "u", {"a": "b"})
    assert (generation.service_tier, generation.stream) == ("priority", True)
    assert generation.reasoning == ReasoningOptions(effort="low")
    assert generation.extras["openai_chat"].keys() == {"prompt_cache_key", "unknown"}


@pytest.mark.parametrize(("logprobs", "wanted"), [(True, (True, None)), (False, (None, None)), (0, (True, 0))])
def test_log_probabilities_are_a_number_or_a_flag(logprobs: Any, wanted: Any) -> None:
    sampling = CompletionRendering(logprobs=logprobs).generation.sampling
    assert (sampling.logprobs, sampling.top_logprobs) == wanted


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt is missing or empty; send a string"),
    ({"prompt": ""}, "prompt is missing or empty"),
    ({"prompt": []}, "prompt is missing or empty"),
    ({"prompt": ["a", "b"]}, "prompt has 2 prompts; send one request for each"),
    ({"prompt": [1, 2]}, "prompt has tokens, which mean something to one model alone; send a string"),
    ({"prompt": [[1, 2]]}, "prompt has tokens"),
    ({"prompt": {}}, "prompt is wrong"),
    ({"echo": True}, "echo is not supported: chat models do not continue a prompt"),
    ({"suffix": "end"}, "suffix is not supported: chat models fill no gap"),
    ({"best_of": 3}, "best_of is not supported: no provider chooses among answers; send n"),
    ({"best_of": 3, "n": 2}, "best_of is not supported"),
    ({"logprobs": 21}, "logprobs is wrong"),
    ({"max_tokens": 0}, "max_tokens must be at least 1"),
    ({"n": 0}, "n is wrong"),
    ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning_effort is 'high'"),
    ({"plugins": [{"id": "unknown"}]}, "plugins has the unknown id"),
    ({"prompt": [{"type": "image_url"}]}, "prompt has an object, but no text contains an image"),
    ({"prompt": ["a", {}]}, "prompt has an object"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported: an answer that is a text"),
    ({"functions": [{"name": "f"}]}, "functions is not supported"),
    ({"tool_choice": "required"}, "tool_choice is not supported"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice is not supported"),
    ({"function_call": {"name": "f"}}, "function_call is not supported"),
    ({"messages": [{"role": "user", "content": "hi"}]}, "messages is not supported: a prompt has no turns"),
    ({"response_format": {"type": "xml"}}, "response_format.type is wrong"),
    ({"response_format": {"type": "json_schema"}}, "response_format has no json_schema"),
    ({"response_format": "json"}, "response_format is wrong"),
    ({"cache_control": {"type": "lasting"}}, "cache_control.type is wrong"),
    ({"cache_control": True}, "cache_control is wrong"),
]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tools": None, "functions": None, "function_call": None},
        {"tool_choice": "auto", "parallel_tool_calls": True},
        {"tool_choice": "none", "function_call": "none"},
        {"function_call": "auto", "parallel_tool_calls": False},
    ],
)
def test_fields_of_chat_that_ask_for_nothing_are_accepted(fields: dict[str, Any]) -> None:
    generation = CompletionRendering(**fields).generation
    assert (generation.tools, generation.tool_choice, generation.extras) == ([], None, {})


@pytest.mark.parametrize(
    ("wanted", "output"),
    [
        (None, OutputFormat()),
        ({"type": "text"}, OutputFormat()),
        ({"type": "json_object"}, OutputFormat(kind="json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}},
            OutputFormat(kind="json_schema", name="a", schema=Raw(b"{}"), strict=True),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a"}},
            OutputFormat(kind="json_schema", name="a"),
        ),
    ],
)
def test_the_format_of_the_text_is_read(wanted: Any, output: OutputFormat) -> None:
    assert CompletionRendering(response_format=wanted).generation.output == output


def test_a_grammar_is_for_the_chat_dialect_alone() -> None:
    generation = CompletionRendering(response_format={"type": "grammar", "grammar": "a"}).generation
    assert generation.output == OutputFormat() and generation.extras["openai_chat"].keys() == {"response_format"}


@pytest.mark.parametrize(
    ("control", "mark"),
    [(None, None), ({"type": "ephemeral"}, CacheMark()), ({"type": "ephemeral", "ttl": "1h"}, CacheMark("1h"))],
)
def test_the_prompt_may_be_marked_to_be_cached(control: Any, mark: CacheMark | None) -> None:
    generation = CompletionRendering(cache_control=control).generation
    assert generation.cache == mark and generation.extras == {}


@pytest.mark.parametrize(("fields", "beginning"), REFUSED)
def test_what_chat_models_cannot_do_is_refused_with_a_sentence(fields: dict[str, Any], beginning: str) -> None:
    with pytest.raises(ApiError) as refused:
        CompletionRendering(**fields)
    assert refused.value.message.startswith(beginning)
    assert refused.value.code == 400


@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(event_streams())
def test_a_stream_says_what_the_response_says(events: list[Event]) -> None:
    response = CompletionRendering(n=3).response(events)
    Completion.model_validate(response)
    chunks = CompletionRendering(n=3).chunks(events)
    for chunk in chunks[:-1]:
        Completion.model_validate(chunk | {"choices": [one | {"finish_reason": "stop"} for one in chunk["choices"]]})
    assert texts(chunks) == {choice["index"]: choice["text"] for choice in response["choices"]}
    reasons = [
        (one["index"], one["finish_reason"]) for chunk in chunks for one in chunk["choices"] if one["finish_reason"]
    ]
    assert sorted(reasons) == [(choice["index"], choice["finish_reason"]) for choice in response["choices"]]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == response["usage"]
    assert sum("usage" in chunk for chunk in chunks) == 1


def test_refusals_and_items_of_other_dialects_are_text_and_reasoning_is_apart() -> None:
    parts = [
        Reasoning(text="Hm"),
        Text(text="One. "),
        Refusal(text="No. "),
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}"), text="Found."),
        Media(kind="image", url="https://a.example/a.png"),
    ]
    events: list[Event] = [Began()]
    for index, part in enumerate(parts):
        events += [PartBegan(0, index, part), PartEnded(choice=0, index=index)]
    events += [Finished(choice=0, reason="tool_calls", native="end_turn"), Ended()]
    (choice,) = CompletionRendering().response(events)["choices"]
    assert (choice["text"], choice["reasoning"]) == ("One. No. Found.", "Hm")
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "end_turn")
    chunks = CompletionRendering().chunks(events)
    assert texts(chunks) == {0: "One. No. Found."}
    assert [one["reasoning"] for chunk in chunks for one in chunk["choices"] if "reasoning" in one] == ["Hm"]
    hidden = CompletionRendering(include_reasoning=False)
    assert "reasoning" not in hidden.response(events)["choices"][0]
    assert not any("reasoning" in one for chunk in hidden.chunks(events) for one in chunk["choices"])


def test_log_probabilities_are_lists_by_position() -> None:
    def piece(token: str) -> Raw:
        top = [{"token": token, "logprob": -0.5}]
        return Raw(json.dumps({"content": [{"token": token, "logprob": -0.5, "top_logprobs": top}]}).encode())

    events: list[Event] = [Began(), PartBegan(0, 0, Text())]
    events += [PartDelta(choice=0, index=0, text=word, logprobs=piece(word)) for word in ("Once", " more")]
    events += [PartDelta(choice=0, index=0, logprobs=Raw(b"[]")), PartEnded(choice=0, index=0)]
    events += [Finished(choice=0, reason="stop"), Ended()]
    found = CompletionRendering(logprobs=1).response(events)["choices"][0]["logprobs"]
    assert found == {
        "tokens": ["Once", " more"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"Once": -0.5}, {" more": -0.5}],
        "text_offset": [0, 4],
    }
    chunks = CompletionRendering(logprobs=1).chunks(events)
    offsets = [one["logprobs"]["text_offset"] for chunk in chunks for one in chunk["choices"] if one["logprobs"]]
    assert offsets == [[0], [4]]


def test_an_answer_that_breaks_ends_with_the_error() -> None:
    error = ApiError("provider_overloaded", "The provider is overloaded")
    chunks = CompletionRendering().chunks([Began(), PartBegan(0, 0, Text(text="On")), Failed(error)])
    assert chunks[-1]["error"]["metadata"]["error_type"] == "provider_overloaded"
    assert chunks[-1]["choices"][0]["finish_reason"] == "error"
    ended: list[Event] = [Began(), Finished(choice=0, reason="error", native="engine_died"), Ended()]
    assert "engine_died" in CompletionRendering().chunks(ended)[-1]["error"]["message"]
    with pytest.raises(ApiError, match="engine_died"):
        CompletionRendering().response(ended)


def test_a_failure_before_the_answer_ends_a_stream_that_has_begun() -> None:
    rendering = CompletionRendering()
    _, renderer = rendering.endpoint.stream(rendering.exchange, rendering.parsed)
    (chunk,) = read_chunks(renderer.fail(ApiError("timeout", "Nobody answered")))
    assert chunk["error"]["code"] == 504 and renderer.over
    assert renderer.fail(ApiError("timeout", "Again")) == b""
    assert renderer.render([EventBatch([Began()])]) == b""


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted({*READ_FIELDS, "unknown", "plugins"} - {"model"})), VALUES, max_size=3))
def test_any_body_is_a_request_or_an_error_that_says_what_to_change(fields: dict[str, Any]) -> None:
    try:
        generation = CompletionRendering(**fields).generation
    except ApiError as error:
        assert 400 <= error.code < 500 and len(error.message) > 10
    else:
        assert generation.messages


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("completions"), Lab(time_scale=0.0, faults=False, strict=True)) as opened:
        yield opened


@pytest.fixture(params=["/api/v1", "/v1"])
def client(stack: Stack, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.url + request.param, api_key=stack.key, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("model", sorted(MODELS.values()))
def test_the_sdk_completes_a_text_in_both_modes(stack: Stack, client: openai.OpenAI, model: str) -> None:
    made = client.completions.create(model=model, prompt=asking("text"), max_tokens=500)
    assert made.choices[0].text and made.choices[0].finish_reason == "stop"
    chunks = list(client.completions.create(model=model, prompt=asking("length"), max_tokens=20, stream=True))
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens > 0
    for answer, stream in ((made, False), (chunks[0], True)):
        until(lambda: find_on_disk(stack.lake, answer.id), "the record is in the log")  # noqa: B023 - called at once
        row = find_on_disk(stack.lake, answer.id)
        assert row is not None
        assert (row["skin"], row["stream"], row["status"], row["requested_model"]) == (
            "completions",
            stream,
            200,
            model,
        )


def test_errors_have_the_envelope_of_chat(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="chat models do not continue a prompt") as refused:
        client.completions.create(model=MODEL, prompt="Once", echo=True)
    assert refused.value.response.json()["error"]["metadata"] == {"error_type": "invalid_request"}
    with pytest.raises(openai.RateLimitError):
        client.completions.create(model=MODELS["openai_chat"], prompt=asking("error_before:429"))
    with pytest.raises(openai.APIError, match="server had an error"):
        list(client.completions.create(model=MODELS["openai_chat"], prompt=asking("error_mid"), stream=True))


def test_routing_metadata_is_added_where_it_is_asked_for(stack: Stack) -> None:
    with stack.client as client:
        headers = {"x-openrouter-metadata": "enabled"}
        found = client.post("/v1/completions", json=ASKED, headers=headers).json()
        streamed = client.post("/v1/completions", json=ASKED | {"stream": True}, headers=headers)
    assert found["openrouter_metadata"]["requested"] == MODEL
    assert read_chunks(streamed.content)[-1]["openrouter_metadata"]["requested"] == MODEL
