"""Test that streams and responses make the same answers, whatever their fields hold and wherever they are cut."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.bedrock_script import ConverseScript
from lab.script import Called, CitedSource, Ending, HiddenThought, Part, SaidText, Script, Thought
from lab.signatures import Signatures
from lab.text import Ask, complete
from router_service.core.errors import ERROR_STATUS, ApiError
from router_service.core.events import Ended, Failed, Result, fold
from router_service.core.parts import Media, Opaque, Reasoning, Text, ToolCall
from router_service.core.usage import Usage
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.bedrock_converse.converse_world import (
    CLAUDE,
    CONTEXT,
    FORMAT,
    NOVA,
    answered,
    endpoint,
    events_of,
    frames,
    read,
    stream_of,
)
from tests.router_service.providers.formats.decoded_streams import check_grammar

PAGE = CitedSource("Noon.", "Tides", "https://harbour.example")
SCRIPTS: dict[str, tuple[tuple[Part, ...], Ending]] = {
    "text": ((SaidText(("High", " water.")),), "end"),
    "thoughts": ((Thought(("Look", " twice.")), HiddenThought("deep"), SaidText(("High", " water."))), "end"),
    "calls": (
        (Thought(("Look.",)), SaidText(("I look.",)), Called(1, "find", "{}"), Called(2, "hoist", '{"a": 1}')),
        "tools",
    ),
    "cited": ((SaidText(("At ", "noon."), (PAGE,)),), "length"),
    "empty": ((), "refusal"),
}
OUTPUT = DecodeContext(
    generation_id="gen-1", origin=CONTEXT.origin, output_tool="find", tool_names={"hoist": "hoist.it"}
)
CUSTOM = DecodeContext(generation_id="gen-1", origin=CONTEXT.origin, custom_tools=frozenset({"hoist"}))
contexts = st.sampled_from([CONTEXT, OUTPUT, CUSTOM])
scripts = st.sampled_from(sorted(SCRIPTS))
FIELDS = [
    "contentBlockIndex", "delta", "start", "text", "toolUse", "input", "toolUseId", "name", "type", "toolResult",
    "content", "status", "reasoningContent", "signature", "redactedContent", "reasoningText", "citation", "location",
    "web", "url", "title", "sourceContent", "image", "source", "bytes", "format", "stopReason", "usage", "inputTokens",
    "outputTokens", "cacheReadInputTokens", "cacheDetails", "ttl", "serviceTier", "role", "output", "message",
    "citationsContent", "citations", "additionalModelResponseFields", "stop_sequence",
]  # fmt: skip
EVENTS = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "new",
]
leaves = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text(max_size=4)
values: st.SearchStrategy[Any] = st.recursive(
    leaves | st.sampled_from(["end_turn", "tool_use", "1h", "png", "server_tool_use", "aGk=", "hoist"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=16,
)
objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=5)


def written(name: str, model: str = CLAUDE) -> ConverseScript:
    """Return what the lab writes for a script."""
    parts, ending = SCRIPTS[name]
    completion = complete(Ask(40, None, None), random.Random(name))
    return ConverseScript(Script(parts, ending), completion, {"model": model}, Signatures(7))


def comparable(found: Result) -> Any:
    """Return a result with the arguments of its calls as values, since a stream has their text as it was written."""
    for choice in found.choices:
        for part in choice.parts:
            if isinstance(part, ToolCall):
                part.arguments = json.dumps(json.loads(part.arguments))
            elif isinstance(part, Text):
                part.text = part.text.replace('{"a": 1}', '{"a":1}')
    return found.began, found.choices, found.usage, str(found.error)


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("context", [CONTEXT, OUTPUT, CUSTOM], ids=["plain", "output", "custom"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_both_modes_make_the_same_answer(name: str, context: DecodeContext, model: str) -> None:
    """The fold of a stream equals the fold of the non-streaming response with the same content."""
    found = written(name, model)
    streamed, whole = fold(events_of(found.events(), context)), read(found.response(), context)
    assert comparable(streamed) == comparable(whole)


@given(scripts, st.data(), contexts)
def test_a_stream_cut_at_any_byte_keeps_the_grammar(name: str, data: st.DataObject, context: DecodeContext) -> None:
    """A part of a stream is an answer with one end, which is a success only if a reason had arrived."""
    stream = b"".join(written(name).events())
    end = data.draw(st.integers(0, len(stream)))
    events = events_of([stream[:end]], context)
    check_grammar(events)
    if isinstance(events[-1], Ended):
        assert b'"stopReason"' in stream[:end]


@given(scripts, st.data(), contexts)
def test_messages_may_be_lost_doubled_or_reordered(name: str, data: st.DataObject, context: DecodeContext) -> None:
    """No order of documented messages breaks the grammar."""
    found = written(name).events()
    check_grammar(events_of(data.draw(st.lists(st.sampled_from(found), max_size=2 * len(found))), context))


@given(st.lists(st.tuples(st.sampled_from(EVENTS), objects), max_size=8), contexts)
def test_any_messages_keep_the_grammar(events: list[tuple[str, Any]], context: DecodeContext) -> None:
    """Decode a stream whose messages have any fields of any type."""
    check_grammar(events_of(frames(*events), context))


@given(objects | values | st.builds(lambda held: answered(*held), st.lists(objects, max_size=3)), contexts)
def test_any_response_is_an_answer_or_a_typed_error(body: Any, context: DecodeContext) -> None:
    """Decode a response with any fields of any type."""
    with contextlib.suppress(ApiError):
        fold(FORMAT.decode(json.dumps(body).encode(), context))


@given(st.sampled_from([400, 403, 404, 408, 424, 429, 500, 503]), values, st.text(max_size=9))
def test_any_failure_is_a_typed_error(status: int, body: Any, name: str) -> None:
    """Read a response with a status of failure and any fields of any type."""
    for found in (body, {"message": body}):
        error = FORMAT.error(status, json.dumps(found).encode(), {"x-amzn-errortype": name}, endpoint())
        assert error.error_type in ERROR_STATUS and error.upstream_status == status and error.message


def test_usage_counts_what_the_cache_has_read_and_written() -> None:
    """Add the tokens of the cache to those that were neither read nor written."""
    usage = {"inputTokens": 5, "outputTokens": 7, "cacheReadInputTokens": 11, "cacheWriteInputTokens": 13}
    usage["cacheDetails"] = [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 9}]  # type: ignore[assignment]
    tier = {"serviceTier": {"type": "flex"}}
    expected = Usage(29, 7, cached_tokens=11, cache_write_tokens=13, cache_write_1h_tokens=4)
    found = read(answered({"text": "Hi"}, usage=usage, **tier))
    assert found.usage == expected and found.began.service_tier == "flex"
    streamed = stream_of(
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage} | tier),
    )
    assert streamed.usage == expected


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls"),
        ("model_context_window_exceeded", "length"), ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"), ("malformed_model_output", "error"), ("malformed_tool_use", "error"),
        ("something_new", "error"),
    ],
)  # fmt: skip
def test_reasons_are_told(native: str, reason: str) -> None:
    """Never make ``stop`` of a reason that is not known."""
    (choice,) = read(answered({"text": "Hi"}, reason=native)).choices
    assert choice.finished is not None
    assert (choice.finished.reason, choice.finished.native) == (reason, native)


def test_a_stream_without_a_reason_has_failed() -> None:
    """An answer that only stops is no success, whether or not its usage has come."""
    said = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
    for more in ((), (("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1}}),)):
        events = events_of(frames(said, *more))
        assert isinstance(events[-1], Failed) and "without a stop reason" in events[-1].error.message


def test_a_forced_tool_is_the_text_of_the_answer() -> None:
    """Give the arguments as text, and the reason of a text."""
    block = {"toolUse": {"toolUseId": "t1", "name": "find", "input": {"a": 1}}}
    (choice,) = read(answered(block, reason="tool_use"), OUTPUT).choices
    assert choice.parts == [Text(text='{"a":1}', origin=CONTEXT.origin)]
    assert choice.finished is not None and choice.finished.reason == "stop"


def test_what_the_vendor_runs_is_kept_whole() -> None:
    """Keep a call that the vendor runs, its result and an image as parts, in both modes."""
    use = {"toolUseId": "t1", "name": "nova_code_interpreter", "type": "server_tool_use"}
    result = {"toolUseId": "t1", "type": "nova_code_interpreter_result", "status": "success"}
    image = {"format": "png", "source": {"bytes": "aGk="}}
    whole = read(answered({"toolUse": use | {"input": {"x": 1}}}, {"toolResult": result | {"content": [{"text": "2"}]}},
                          {"image": image}))  # fmt: skip
    streamed = stream_of(
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": use}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"x": 1}'}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": result}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolResult": [{"text": "2"}]}}),
        ("contentBlockStop", {"contentBlockIndex": 1}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"image": {"format": "png"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"image": {"source": {"bytes": "aGk="}}}}),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    for found in (whole, streamed):
        called, told, drawn = found.choices[0].parts
        assert isinstance(called, Opaque) and called.hosted is not None and called.hosted.arguments == '{"x":1}'
        assert json.loads(bytes(told.raw)) == {"toolResult": result | {"content": [{"text": "2"}]}}  # type: ignore[union-attr]
        assert isinstance(drawn, Media) and (drawn.media_type, drawn.data) == ("image/png", "aGk=")


def test_reasoning_names_its_kind_where_claude_has_signed_it() -> None:
    """Tell the kind of a signature of Claude, and of no other model."""
    block = {"reasoningContent": {"reasoningText": {"text": "Look.", "signature": "s"}}}
    for origin, kind in ((CONTEXT.origin, "anthropic-claude-v1"), ("bedrock_converse/amazon-bedrock", None)):
        (part,) = read(answered(block), DecodeContext(origin=origin)).choices[0].parts
        assert part == Reasoning(text="Look.", signature="s", origin=origin, format=kind)


@pytest.mark.parametrize("odd", [5, True, "x", {"text": "x"}, [5], None])
def test_an_odd_source_or_result_costs_no_answer(odd: Any) -> None:
    cited = {"content": [{"text": "Noon."}], "citations": [{"title": "Tides", "sourceContent": odd}]}
    (text,) = read(answered({"citationsContent": cited})).choices[0].parts
    assert isinstance(text, Text) and text.text == "Noon."
    assert [(one.title, one.cited_text) for one in text.citations] == [("Tides", None)]
    result = {"toolUseId": "t", "type": "web_search_result", "content": odd}
    found = stream_of(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolResult": result}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolResult": [{"text": "Noon."}]}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    assert found.error is None and len(found.choices[0].parts) == 1
