"""Test the events of streams: their order by the specification, their shape by the official SDK's models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
)
from router_service.core.parts import Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage
from tests.event_streams import event_streams
from tests.router_service.api.skins.messages.serving_bytes import PreparedServer, prepared_server
from tests.router_service.api.skins.responses.rendering import Rendering, answer
from tests.router_service.api.skins.responses.responses_grammar import check_events, check_stream, read_events, types_of

_stream_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
CALLS = [
    ToolCall(call_id="call_1", name="tide", arguments='{"port":"Genoa"}'),
    ToolCall(call_id="call_2", name="wind", arguments='{"port":"Oslo"}'),
]


@pytest.fixture(scope="module")
def server() -> Iterator[PreparedServer]:
    with prepared_server() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: PreparedServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as found:
        yield found


def without_times(response: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if name != "completed_at"}


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(event_streams(), st.data())
def test_any_answer_is_a_valid_stream_and_the_same_response(events: list[Event], data: st.DataObject) -> None:
    rendering = Rendering()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    batches = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    sent = check_stream(rendering.raw_stream(batches))
    for event in sent:
        _stream_event.validate_python(event)
    response = rendering.response(events)
    assert without_times(sent[-1]["response"]) == without_times(response)
    Response.model_validate(response)


@settings(
    max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(event_streams(max_choices=1))
def test_the_sdk_adds_the_events_up_to_the_response(
    server: PreparedServer, client: openai.OpenAI, events: list[Event]
) -> None:
    rendering = Rendering()
    server.stream(rendering.raw_stream([events]))
    with client.responses.stream(model="m", input="hello") as stream:
        seen = list(stream)
    server.json(json.dumps(rendering.response(events)).encode())
    wanted = client.responses.create(model="m", input="hello")
    last = seen[-1].response  # type: ignore[union-attr]
    assert last.output_text == wanted.output_text
    assert [item.type for item in last.output] == [item.type for item in wanted.output]


@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(event_streams(max_choices=1), st.data())
def test_a_stream_that_breaks_anywhere_ends_with_its_failure(events: list[Event], data: st.DataObject) -> None:
    kept = events[: data.draw(st.integers(0, len(events) - 1))]
    error = ApiError("provider_overloaded", "The provider is overloaded")
    sent = Rendering().stream([*kept, Failed(error)])
    assert [event["type"] for event in sent[-2:]] == ["error", "response.failed"]
    assert sent[-2]["code"] == "server_error"
    assert sent[-1]["response"]["error"] == {"code": "server_error", "message": "The provider is overloaded"}
    assert sent[-1]["response"]["error_type"] == "provider_overloaded"
    for event in sent:
        _stream_event.validate_python(event)


def test_a_text_is_one_message() -> None:
    events = Rendering().stream(answer(Text(text="Good morning")))
    assert types_of(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    (item,) = events[-1]["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "Good morning", "annotations": [], "logprobs": []}]


def test_texts_and_refusals_that_follow_each_other_are_one_message() -> None:
    events = Rendering().stream(answer(Text(text="One"), Text(), Text(text="Two"), Refusal(text="No")))
    (item,) = events[-1]["response"]["output"]
    assert [one.get("text", one.get("refusal")) for one in item["content"]] == ["One", "Two", "No"]
    assert "refusal.delta" in types_of(events) and "refusal.done" in types_of(events)


def test_parallel_calls_interleave_by_their_index() -> None:
    events: list[Event] = [
        Began(),
        PartBegan(0, 4, ToolCall(call_id="call_1", name="tide")),
        PartBegan(0, 7, ToolCall(call_id="call_2", name="wind")),
        PartDelta(choice=0, index=7, text='{"b":'),
        PartDelta(choice=0, index=4, text='{"a":1}'),
        PartDelta(choice=0, index=7, text="2}"),
        PartEnded(choice=0, index=7),
        PartEnded(choice=0, index=4),
        Finished(choice=0, reason="tool_calls"),
        Ended(),
    ]
    sent = Rendering().stream(events)
    deltas = [(e["output_index"], e["delta"]) for e in sent if e["type"].endswith("arguments.delta")]
    assert deltas == [(1, '{"b":'), (0, '{"a":1}'), (1, "2}")]
    output = sent[-1]["response"]["output"]
    assert [(one["call_id"], one["arguments"]) for one in output] == [("call_1", '{"a":1}'), ("call_2", '{"b":2}')]
    assert [one["status"] for one in output] == ["completed", "completed"]


def test_a_call_that_was_cut_off_is_incomplete() -> None:
    cut = [CALLS[0], ToolCall(call_id="call_2", name="wind", arguments='{"po')]
    sent = Rendering().stream(answer(*cut, reason="length"))
    response = sent[-1]["response"]
    assert sent[-1]["type"] == "response.incomplete"
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [one["status"] for one in response["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause_turn", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_status_says_why_the_answer_ended(reason: str, status: str, details: Any) -> None:
    response = Rendering().response(answer(Text(text="Good"), reason=reason))
    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert (response["completed_at"] is None) is (status == "incomplete")


def test_an_answer_that_ends_with_an_error_is_a_failure() -> None:
    events = answer(Text(text="Go"), reason="error", native="engine_died")
    sent = Rendering().stream(events)
    assert sent[-1]["type"] == "response.failed"
    assert "engine_died" in sent[-1]["response"]["error"]["message"]
    with pytest.raises(ApiError, match="engine_died"):
        Rendering().response(events)
    with pytest.raises(ApiError, match="ended the answer with an error"):
        Rendering().response([Began(), Ended()])


@pytest.mark.parametrize(
    "error_type", ["context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded", "string_too_long"]
)
def test_an_overflow_is_a_response_that_ended_at_its_length(error_type: str) -> None:
    """The reference tells these errors as a success, before the answer and within it."""
    error = ApiError(error_type, "The prompt has 9,000 tokens, the model takes 4,096")
    rendering = Rendering()
    within = rendering.stream([Began(), PartBegan(0, 0, Text(text="Go")), Failed(error)])
    assert within[-1]["type"] == "response.incomplete"
    assert within[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert within[-1]["response"]["error_type"] == error_type
    status, headers, body = rendering.endpoint.error(error, rendering.exchange)
    assert (status, dict(headers)[b"content-type"]) == (200, b"application/json")
    assert json.loads(body)["status"] == "incomplete" and json.loads(body)["error"] is None
    Response.model_validate_json(body)
    streamed = Rendering(stream=True)
    status, headers, body = streamed.endpoint.error(error, streamed.exchange)
    assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
    assert types_of(check_stream(body)) == ["created", "in_progress", "incomplete"]


def test_a_failure_before_the_answer_ends_a_stream_that_has_begun() -> None:
    rendering = Rendering()
    _, renderer = rendering.endpoint.stream(rendering.exchange, rendering.parsed)
    sent = check_stream(rendering.endpoint.keepalive + renderer.fail(ApiError("timeout", "Nobody answered")))
    assert types_of(sent) == ["created", "in_progress", "error", "failed"]
    assert sent[-1]["response"]["output"] == [] and renderer.over
    assert renderer.fail(ApiError("timeout", "Again")) == b""
    assert renderer.render([]) == b""


def test_events_after_the_end_are_passed_over() -> None:
    sent = Rendering().stream([*answer(Text(text="Hi")), Metered(Usage(1, 2))])
    assert sent[-1]["type"] == "response.completed"


@pytest.mark.parametrize(
    ("error_type", "code"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("invalid_request", "invalid_prompt"),
        ("content_policy_violation", "image_content_policy_violation"),
        ("provider_unavailable", "server_error"),
        ("timeout", "server_error"),
    ],
)
def test_errors_have_the_codes_of_the_reference(error_type: str, code: str) -> None:
    sent = Rendering().stream([Began(), Failed(ApiError(error_type, "It broke"))])
    assert sent[-2]["code"] == sent[-1]["response"]["error"]["code"] == code


def test_reasoning_and_summaries_have_their_own_events() -> None:
    parts = [Reasoning(text="Let me see"), Reasoning(text="In short", summary=True), Reasoning(), Text(text="Yes")]
    sent = Rendering().stream(answer(*parts))
    found = types_of(sent)
    for name in ("reasoning_text.delta", "reasoning_text.done", "reasoning_summary_part.added"):
        assert found.count(name) == 1
    one, two, _ = sent[-1]["response"]["output"]
    assert (one["content"], one["summary"]) == ([{"type": "reasoning_text", "text": "Let me see"}], [])
    assert two["summary"] == [{"type": "summary_text", "text": "In short"}] and "content" not in two
    assert all(item["encrypted_content"].startswith("ptln1_") for item in (one, two))


def test_reasoning_is_left_out_where_the_client_asks_for_it() -> None:
    response = Rendering(reasoning={"exclude": True}).response(answer(Reasoning(text="Hm"), Text(text="Yes")))
    assert [item["type"] for item in response["output"]] == ["message"]


def test_a_custom_call_and_a_namespace_are_written_back() -> None:
    tools = [
        {
            "type": "namespace",
            "name": "mcp__harbour",
            "description": "About it.",
            "tools": [{"type": "function", "name": "tide"}],
        },
        {"type": "custom", "name": "patch"},
    ]
    calls = [
        ToolCall(call_id="call_1", name="mcp__harbour__tide", arguments="{}"),
        ToolCall(call_id="call_2", name="patch", arguments="*** Begin", kind="custom"),
    ]
    sent = Rendering(tools=tools).stream(answer(*calls, reason="tool_calls"))
    called, patched = sent[-1]["response"]["output"]
    assert (called["namespace"], called["name"]) == ("mcp__harbour", "tide")
    assert (patched["type"], patched["name"], patched["input"]) == ("custom_tool_call", "patch", "*** Begin")
    assert {"custom_tool_call_input.delta", "custom_tool_call_input.done"} <= {*types_of(sent)}


def test_a_call_without_arguments_and_without_an_id_can_be_answered() -> None:
    calls = [ToolCall(name="tide"), ToolCall(call_id="call_1", name="tide"), ToolCall(call_id="call_1", name="wind")]
    output = Rendering().response(answer(*calls))["output"]
    assert [one["arguments"] for one in output] == ["{}"] * 3
    assert len({one["call_id"] for one in output}) == 3 and all(one["call_id"] for one in output)


def test_halves_of_surrogate_pairs_never_leave_the_router() -> None:
    raw = Rendering().raw_stream([answer(Text(text="x\ud83d"), ToolCall(call_id="c", name="f", arguments="\udc00"))])
    assert "x\ufffd" in raw.decode()
    check_events(read_events(raw))


def test_an_answer_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_service.api.skins.responses.answer_writer.MAX_CHARACTERS", 10)
    sent = Rendering().stream(answer(Text(text="x" * 11)))
    assert "too long" in sent[-1]["response"]["error"]["message"]


def test_usage_has_details_and_cost() -> None:
    rendering = Rendering()
    rendering.exchange.outcome.usage = Usage(100, 20, cached_tokens=30, reasoning_tokens=5, web_searches=2)
    usage = rendering.response(answer(Text(text="Hi")))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (100, 20, 120)
    assert usage["input_tokens_details"] == {"cached_tokens": 30, "cache_write_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 5}
    assert (usage["cost"], usage["is_byok"]) == (0.0, False)
    assert usage["server_tool_use_details"] == {"web_search_requests": 2}
    failed = rendering.stream([Began(), Failed(ApiError("server", "It broke"))])[-1]["response"]
    assert failed["usage"] == usage
