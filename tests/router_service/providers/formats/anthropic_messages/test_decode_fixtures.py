"""The golden fixtures' answers become the parts, reasons, counts and errors that they contain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.events import Result, fold
from router_service.core.parts import Opaque, Reasoning, Text, ToolCall
from router_service.core.usage import Usage
from router_service.providers.formats.anthropic_messages.usage import TokenMeters
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    CONTEXT,
    FORMAT,
    ORIGIN,
    events_of,
)
from tests.wire_cases import WireCase, load_cases

CASES = {case.name: case for case in load_cases("anthropic_messages")}
ANSWERED = [case for case in CASES.values() if case.status == 200 and case.name not in ("error_in_200", "not_json")]


def response(name: str) -> Result:
    body = CASES[name].response
    assert body is not None
    return fold(FORMAT.decode(body, CONTEXT))


def stream(name: str) -> Result:
    data = CASES[name].stream
    assert data is not None
    return fold(events_of([data]))


def expected_parts(content: list[Any]) -> list[object]:
    """Return what the parts of a message's content must say, block by block."""
    found: list[object] = []
    for block in content:
        match block and block.get("type"):
            case "text" if block.get("text"):
                found.append((Text, block["text"], [c["cited_text"] for c in block.get("citations", ())]))
            case "thinking" if block.get("thinking"):
                found.append((Reasoning, block["thinking"], block["signature"]))
            case "redacted_thinking" if isinstance(block["data"], str):
                found.append((Reasoning, block["data"], None))
            case "tool_use":
                found.append((ToolCall, block["id"], block["name"], block["input"]))
            case str(kind) if kind not in ("text", "thinking", "redacted_thinking"):
                found.append((Opaque, block))
    return found


def said(part: object) -> object:
    match part:
        case Text():
            return Text, part.text, [citation.cited_text for citation in part.citations]
        case Reasoning():
            return Reasoning, part.encrypted or part.text, part.signature
        case ToolCall():
            return ToolCall, part.call_id, part.name, json.loads(part.arguments)
        case Opaque():
            return Opaque, json.loads(bytes(part.raw))
    raise AssertionError(part)


@pytest.mark.parametrize("case", [case for case in ANSWERED if case.response is not None], ids=lambda case: case.name)
def test_every_block_of_a_response_is_kept(case: WireCase) -> None:
    """The parts of a response say what its blocks say, in order, and know where they come from."""
    assert case.response is not None
    message = json.loads(case.response)
    found = fold(FORMAT.decode(case.response, CONTEXT))
    parts = found.choices[0].parts if found.choices else []
    assert [said(part) for part in parts] == expected_parts(message["content"])
    assert {part.origin for part in parts} <= {ORIGIN}
    assert found.began.upstream_id == (message["id"] if isinstance(message["id"], str) else None)


@pytest.mark.parametrize("case", [case for case in ANSWERED if case.stream is not None], ids=lambda case: case.name)
def test_every_text_of_a_stream_is_kept(case: WireCase) -> None:
    """The texts of a stream are those of its deltas and starts."""
    assert case.stream is not None
    data = [line[6:] for line in case.stream.decode().splitlines() if line.startswith("data: {")]
    events: list[dict[str, Any]] = []
    for line in data:
        try:
            events.append(json.loads(line))
        except ValueError:
            break
    texts = [e["delta"].get("text", "") for e in events if (e.get("delta") or {}).get("type") == "text_delta"]
    starts = [(e.get("content_block") or {}).get("text", "") for e in events if e["type"] == "content_block_start"]
    parts = stream(case.name).choices[0].parts if stream(case.name).choices else []
    found = "".join(part.text for part in parts if isinstance(part, Text))
    assert found == "".join(starts + texts).replace("\ud83d\udea2", "\ufffd\ufffd")


REASONS = {
    "plain_text": ("stop", "end_turn"),
    "stop_sequence": ("stop", "stop_sequence"),
    "stop_max_tokens": ("length", "max_tokens"),
    "stop_context_window": ("length", "model_context_window_exceeded"),
    "stop_pause_turn": ("pause_turn", "pause_turn"),
    "stop_refusal": ("content_filter", "refusal"),
    "stop_refusal_empty": ("content_filter", "refusal"),
    "stop_unknown": ("error", "compaction"),
    "tools_single": ("tool_calls", "tool_use"),
    "empty_turn": ("stop", "end_turn"),
}


@pytest.mark.parametrize("name", sorted(REASONS))
def test_stop_reasons(name: str) -> None:
    """Each stop reason has its own in the router, and an unknown one is an error, never a success."""
    for found in (response(name), stream(name)):
        finished = found.choices[0].finished
        assert finished is not None
        assert (finished.reason, finished.native) == REASONS[name]


def test_details_of_the_end() -> None:
    """The stop sequence and the explanation of a refusal are kept in both modes."""
    for found in (response("stop_sequence"), stream("stop_sequence")):
        assert found.choices[0].finished is not None
        assert found.choices[0].finished.stop_sequence == "END"
    for found in (response("stop_refusal"), stream("stop_refusal")):
        assert found.choices[0].finished is not None
        assert found.choices[0].finished.details is not None
        assert found.choices[0].finished.details["category"] == "cyber"


def test_a_response_without_a_stop_reason_has_failed() -> None:
    """Without a reason an answer is no success; its text and counts are kept."""
    found = response("stop_null")
    assert found.error is not None
    assert found.error.error_type == "provider_unavailable"
    assert found.choices[0].finished is None
    assert found.usage is not None
    assert found.usage.completion_tokens == 15


FAILURES = {
    "stream_error": ("provider_overloaded", "Overloaded"),
    "stream_error_first": ("provider_overloaded", "Overloaded"),
    "stream_error_rate_limit": ("rate_limit_exceeded", "This request would exceed your rate limit."),
    "stream_error_bare": ("provider_unavailable", "The provider reported an error without a message"),
    "stream_closed_early": ("provider_unavailable", "The provider ended its answer without a stop reason"),
    "stream_cut": ("provider_unavailable", "The provider's stream is not of the messages format"),
    "stream_garbage": ("provider_unavailable", "The provider's stream is not of the messages format"),
}


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_streams_that_fail(name: str) -> None:
    """A failure is typed, has the provider's sentence, and keeps the text before it."""
    found = stream(name)
    assert found.error is not None
    assert (found.error.error_type, found.error.message) == FAILURES[name]
    if name != "stream_error_first":
        assert [said(part) for part in found.choices[0].parts] == [(Text, "Good morning!", [])]


def test_a_stop_reason_is_enough() -> None:
    """A stream with a stop reason and without message_stop is complete."""
    assert stream("stream_without_message_stop").error is None


def test_errors_with_status_200() -> None:
    """An error in place of a message is the provider's own, and a page is none of the format."""
    with pytest.raises(ApiError, match=r"^Overloaded$") as raised:
        response("error_in_200")
    assert raised.value.error_type == "provider_overloaded"
    assert raised.value.metadata == {"provider_code": "overloaded_error"}
    with pytest.raises(ApiError, match="not of the messages format") as raised:
        response("not_json")
    assert raised.value.code == 502


USAGES = {
    "cache_marks": Usage(100298, 503, cached_tokens=100000, cache_write_tokens=248, cache_write_1h_tokens=0),
    "usage_cache_1h": Usage(1000000, 10, cached_tokens=0, cache_write_tokens=1000000, cache_write_1h_tokens=1000000),
    "usage_fractional": Usage(25, 15),
    "usage_nulls": Usage(25, 15),
    "odd_types": Usage(25, 15),
}


@pytest.mark.parametrize("name", sorted(USAGES))
def test_counts(name: str) -> None:
    """Counts are read from every documented place, in both modes, and odd ones fail nothing."""
    assert response(name).usage == stream(name).usage == USAGES[name]


def test_counts_of_one_mode() -> None:
    """A count that is absent is not reported, a later one replaces an earlier, a negative one counts for nothing."""
    assert response("usage_absent").usage is None
    assert stream("usage_cumulative").usage == Usage(35, 15, cached_tokens=5, cache_write_tokens=0)
    assert response("usage_negative").usage == Usage(25, 0)
    assert stream("usage_negative").usage == Usage(
        25, 1, cached_tokens=0, cache_write_tokens=0, cache_write_1h_tokens=0
    )


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 3}, Usage(12, 3)),
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 10}},
            Usage(12, 3, cached_tokens=10),
        ),
        ({"prompt_tokens": 99, "input_tokens": 12, "output_tokens": 3, "completion_tokens": 99}, Usage(12, 3)),
    ],
)
def test_counts_of_imitators_in_the_spelling_of_chat_completions(usage: dict[str, Any], counted: Usage) -> None:
    """The format's own counts are read first; they leave out what was cached, which the others do not."""
    meters = TokenMeters()
    assert meters.update(usage) and meters.usage() == counted


def test_blocks_whose_content_comes_in_their_start() -> None:
    """Text, thinking with its signature and the input of a tool may come in the start of a block."""
    assert [said(part) for part in stream("block_starts_with_text").choices[0].parts] == [
        (Reasoning, "Greets.", "c2ln"),
        (Text, "Good morning!", []),
    ]
    assert [said(part) for part in stream("block_tool_starts_with_input").choices[0].parts] == [
        (ToolCall, "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather", {"place": "Genoa"})
    ]


def test_hosted_calls_have_a_text_for_other_dialects() -> None:
    """A call and its result are opaque parts with a readable text; the text that cites keeps the citation."""
    for found in (response("server_tools"), stream("server_tools")):
        parts = found.choices[0].parts
        assert [part.text for part in parts if isinstance(part, Opaque)] == [
            'web_search({"query":"weather"})',
            "Example\nhttps://example.com/",
        ]
        cited = parts[-1]
        assert isinstance(cited, Text)
        assert cited.citations[0].url == "https://example.com/"
        assert cited.citations[0].raw is not None
        assert json.loads(bytes(cited.citations[0].raw))["encrypted_index"] == "Eo8BCioIAhgB"
