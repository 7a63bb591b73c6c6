"""Test that the golden fixtures' answers become the parts, reasons, counts and errors that they contain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.events import Failed, Metered, PartDelta, Result, fold
from router_service.core.parts import Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.openai_responses.responses_world import (
    CONTEXT,
    FORMAT,
    ORIGIN,
    endpoint,
    events_of,
)
from tests.wire_cases import load_cases

CASES = {case.name: case for case in load_cases("openai_responses")}
FAILED = {"failed", "failed_rate_limit", "cancelled", "error_in_200", "not_json"}
ANSWERED = [name for name, case in CASES.items() if case.response and case.status == 200 and name not in FAILED]
TEXT = "Good morning! How may I help?"


def response(name: str, context: DecodeContext = CONTEXT) -> Result:
    body = CASES[name].response
    assert body is not None
    return fold(FORMAT.decode(body, context))


def stream(name: str, context: DecodeContext = CONTEXT) -> Result:
    data = CASES[name].stream
    assert data is not None
    return fold(events_of([data], context))


def both(name: str) -> tuple[Result, Result]:
    return response(name), stream(name)


def expected_parts(output: list[Any]) -> list[object]:
    """Return what the parts of a response must say, item by item."""
    found: list[object] = []
    for item in output:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    kind = Refusal if part["type"] == "refusal" else Text
                    found.append((kind, part.get("text") or part.get("refusal"), item["id"]))
            case "reasoning":
                found += [(Reasoning, part["text"], True, None, item["id"]) for part in item["summary"]]
                found += [(Reasoning, part["text"], False, None, item["id"]) for part in item.get("content", ())]
                if "encrypted_content" in item:
                    found.append((Reasoning, "", False, item["encrypted_content"], item["id"]))
            case "function_call":
                found.append((ToolCall, item["call_id"], item["name"], item["arguments"], "function", item["id"]))
            case "custom_tool_call":
                found.append((ToolCall, item["call_id"], item["name"], item["input"], "custom", item["id"]))
            case _:
                found.append((Opaque, item))
    return found


def said(part: object) -> object:
    match part:
        case Text() | Refusal():
            return type(part), part.text, part.item_id
        case Reasoning():
            return Reasoning, part.text, part.summary, part.encrypted, part.item_id
        case ToolCall():
            return ToolCall, part.call_id, part.name, part.arguments, part.kind, part.item_id
        case Opaque():
            return Opaque, json.loads(bytes(part.raw))
    raise AssertionError(part)


@pytest.mark.parametrize("name", ANSWERED)
def test_every_item_of_a_response_is_kept(name: str) -> None:
    """The parts of a response say what its items say, in order, and know where they come from."""
    body = CASES[name].response
    assert body is not None
    found = response(name)
    parts = found.choices[0].parts
    assert [said(part) for part in parts] == expected_parts(json.loads(body)["output"])
    assert {part.origin for part in parts} <= {ORIGIN}
    assert {part.format for part in parts if isinstance(part, Reasoning)} <= {"openai-responses-v1"}
    assert found.began.upstream_id == "resp_68a1"


REASONS = {
    "plain_text": ("stop", "completed"),
    "refusal": ("stop", "completed"),
    "empty_output": ("stop", "completed"),
    "tool_call": ("tool_calls", "completed"),
    "custom_tool_call": ("tool_calls", "completed"),
    "incomplete_length": ("length", "max_output_tokens"),
    "incomplete_filter": ("content_filter", "content_filter"),
    "incomplete_unknown": ("error", "low_tide"),
}


@pytest.mark.parametrize("name", sorted(REASONS))
def test_finish_reasons(name: str) -> None:
    """Each end has its reason in the router, and an unknown one is an error, never a success."""
    for found in both(name):
        finished = found.choices[0].finished
        assert finished is not None and (finished.reason, finished.native) == REASONS[name]


FAILURES = {
    "failed": ("provider_unavailable", "The model failed to generate a response."),
    "failed_rate_limit": ("rate_limit_exceeded", "Rate limit reached."),
    "cancelled": ("provider_unavailable", "The provider's response is cancelled"),
    "error_in_200": ("provider_unavailable", "Overloaded"),
    "not_json": ("provider_unavailable", "The provider's answer is not of the Responses format"),
}


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_responses_that_fail(name: str) -> None:
    """A response that tells of a failure is no answer, whatever its status."""
    with pytest.raises(ApiError) as raised:
        response(name)
    assert (raised.value.error_type, raised.value.message) == FAILURES[name]


BROKEN = {
    "failed": ("provider_unavailable", "The model failed to generate a response."),
    "failed_rate_limit": ("rate_limit_exceeded", "Rate limit reached."),
    "stream_error": ("provider_unavailable", "The server had an error."),
    "stream_error_object": ("rate_limit_exceeded", "Rate limit reached."),
    "stream_error_first": (
        "context_length_exceeded",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "stream_closed_early": ("provider_unavailable", "The provider's stream ended before its answer was complete"),
    "stream_garbage": ("provider_unavailable", "The provider's stream is not of the Responses format"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_streams_that_fail(name: str) -> None:
    """A failure is typed, has the provider's sentence, and keeps the text before it."""
    found = stream(name)
    assert found.error is not None
    assert (found.error.error_type, found.error.message) == BROKEN[name]
    if name in ("stream_error", "stream_closed_early", "stream_garbage"):
        assert [part.text for part in found.choices[0].parts if isinstance(part, Text)] == [TEXT]


def test_a_stream_that_is_cut_in_its_last_event_has_failed() -> None:
    """The text is complete, but nothing says so."""
    found = stream("stream_cut")
    assert found.error is not None and found.choices[0].finished is None


SYNTHESISED = (
    "stream_only_deltas", "stream_only_done", "stream_only_completed", "stream_other_ids", "stream_same_number",
    "stream_without_numbers", "stream_unknown_events", "stream_done",
)  # fmt: skip


@pytest.mark.parametrize("name", SYNTHESISED)
def test_missing_and_odd_events_cost_nothing(name: str) -> None:
    """Leave out, repeat, renumber or invent events, as servers do: no text is lost or doubled."""
    found = stream(name)
    assert found.error is None
    assert [part.text for part in found.choices[0].parts if isinstance(part, Text)] == [TEXT]
    calls = [part.arguments for part in found.choices[0].parts if isinstance(part, ToolCall)]
    assert calls in ([], ['{"place":"Genoa"}'])
    sealed = [part.encrypted for part in found.choices[0].parts if isinstance(part, Reasoning) and part.encrypted]
    assert sealed in ([], ["gAAAAABo"])


USAGES = {
    "plain_text": Usage(25, 15, cached_tokens=0, reasoning_tokens=0),
    "usage_cached": Usage(2025, 150, cached_tokens=1920, cache_write_tokens=64, reasoning_tokens=128),
    "usage_odd": Usage(0, 15, reasoning_tokens=15),
    "usage_reasoning_apart": Usage(25, 75, reasoning_tokens=60, web_searches=2, reported_nano=123457),
    "web_search": Usage(25, 15, cached_tokens=0, reasoning_tokens=0, web_searches=1),
}


@pytest.mark.parametrize("name", sorted(USAGES))
def test_counts(name: str) -> None:
    """Counts are read from every documented place, in both modes, and odd ones fail nothing."""
    for found in both(name):
        assert found.usage == USAGES[name]


def test_counts_in_the_spelling_of_chat_completions_are_read() -> None:
    """A server that imitates the API may count as it does in the other one."""
    body = CASES["plain_text"].response
    assert body is not None
    counts = {"prompt_tokens": 36, "completion_tokens": 87, "prompt_tokens_details": {"cached_tokens": 16}}
    more = {"completion_tokens_details": {"reasoning_tokens": 40}, "input_tokens": None}
    for usage in (counts | more, counts | {"reasoning_tokens": 40, "cached_tokens": 16}):
        found = fold(FORMAT.decode(json.dumps(json.loads(body) | {"usage": usage}).encode(), CONTEXT)).usage
        assert found is not None
        assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (36, 87, 16)


def test_no_counts_are_none() -> None:
    """An answer without counts reports none, and the tier that served comes with the counts."""
    assert response("usage_absent").usage is stream("usage_absent").usage is None
    body = CASES["plain_text"].response
    assert body is not None
    (metered,) = (event for event in FORMAT.decode(body, CONTEXT) if isinstance(event, Metered))
    assert metered.service_tier == "default"


def test_citations_are_kept_for_their_dialect_and_readable_in_others() -> None:
    """A citation has its place in the text, and its own JSON."""
    for found in both("web_search"):
        search, text = found.choices[0].parts
        assert isinstance(search, Opaque) and isinstance(text, Text)
        assert search.text == 'web_search_call({"query":"tide tables"})'
        (cited,) = text.citations
        assert (cited.url, cited.title, cited.start, cited.end) == ("https://harbour.example/tides", "Tides", 0, 11)
        assert cited.raw is not None and json.loads(bytes(cited.raw))["type"] == "url_citation"
    for found in both("file_citation"):
        text = found.choices[0].parts[0]
        assert isinstance(text, Text) and text.citations[0].title == "chart.pdf"


def test_log_probabilities_have_the_shape_of_the_chat_dialect() -> None:
    """Each token comes with its own, in both modes."""
    for found in both("logprobs"):
        first, second = (json.loads(bytes(one))["content"][0] for one in found.choices[0].logprobs)
        assert (first["token"], first["top_logprobs"][0]["logprob"], second["bytes"][-1]) == ("High", -0.1, 46)


def test_phases_are_kept() -> None:
    """The phase of a message returns with it."""
    for found in both("phases"):
        phases = [(part.extras or {}).get("openai_responses") for part in found.choices[0].parts]
        assert phases == [{"phase": "commentary"}, {"phase": "final_answer"}]


STATUSES = {
    "error_400": "invalid_request",
    "error_401": "provider_unavailable",
    "error_429": "rate_limit_exceeded",
    "error_500": "provider_unavailable",
    "error_context": "context_length_exceeded",
}


@pytest.mark.parametrize("name", sorted(STATUSES))
def test_statuses_of_failure(name: str) -> None:
    """A refusal is typed by its code, else by its status, and keeps the provider's sentence."""
    case = CASES[name]
    assert case.response is not None
    error = FORMAT.error(case.status, case.response, case.headers, endpoint())
    assert (error.error_type, error.upstream_status) == (STATUSES[name], case.status)
    assert json.loads(case.response)["error"]["message"] in error.message
    assert error.retry_after == (7.0 if name == "error_429" else None)


def test_deltas_are_events_as_they_arrive() -> None:
    """Text and arguments are not gathered."""
    data = CASES["tool_calls_parallel"].stream
    assert data is not None
    deltas = [event.text for event in events_of([data]) if isinstance(event, PartDelta)]
    assert deltas[:4] == ["Look", " twice.", "I", " look."] and "".join(deltas[4:6]) == '{"place":"Genoa"}'


def test_a_batch_commits_with_content() -> None:
    """The beginning commits no attempt, content and the end do."""
    decoder = FORMAT.decoder(CONTEXT)
    assert decoder.feed(None, b'{"type":"response.created","response":{"id":"r"}}').has_content is False  # type: ignore[union-attr]
    assert decoder.feed(None, b'{"type":"response.output_text.delta","delta":"a"}').has_content is True  # type: ignore[union-attr]
    assert decoder.feed(None, b"[DONE]") is None and decoder.feed(None, b'{"type":"x"}') is None
    assert decoder.feed(None, b'{"type":"response.completed","response":{}}').has_content is True  # type: ignore[union-attr]
    assert decoder.feed(None, b'{"type":"response.output_text.delta","delta":"a"}') is None
    assert decoder.end() == []
    assert not isinstance(FORMAT.decode_batches(b'{"output":[]}', CONTEXT)[0].events()[-1], Failed)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, None, "provider_unavailable"),
        (502, "server_error", "provider_unavailable"),
        (503, None, "provider_overloaded"),
        (503, "server_error", "provider_overloaded"),
        (504, "server_error", "timeout"),
        (524, None, "timeout"),
        (529, "server_error", "provider_overloaded"),
        (429, "rate_limit_exceeded", "rate_limit_exceeded"),
    ],
)
def test_a_status_says_more_than_an_error_of_the_server(status: int, code: str | None, kind: str) -> None:
    """The vendor documents 503 as an overload, with the type of every failure of its servers."""
    body = json.dumps({"error": {"message": "Try again", "type": "server_error", "param": None, "code": code}}).encode()
    error = FORMAT.error(status, body, {}, endpoint())
    assert (error.error_type, error.upstream_status) == (kind, status)
