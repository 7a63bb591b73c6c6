"""Test what odd servers send: each field may be absent or of another type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.parts import Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.providers.formats.openai_responses import item_readers
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.openai_responses.responses_world import (
    CONTEXT,
    FORMAT,
    read_events,
    read_response,
)

END: dict[str, Any] = {"type": "response.completed", "response": {"status": "completed"}}
DONE = "response.output_item.done"
ADDED = "response.output_item.added"


def parts(*events: dict[str, Any], context: DecodeContext = CONTEXT) -> list[Any]:
    """Return the parts of a stream that ends well."""
    found = read_events(*events, END, context=context)
    assert found.error is None
    return found.choices[0].parts


def call(**fields: Any) -> dict[str, Any]:
    """Return a call of a function."""
    return {"type": "function_call", "call_id": "call_1", "name": "hoist", "arguments": "{}"} | fields


@pytest.mark.parametrize(
    "event",
    [
        {"type": ADDED}, {"type": ADDED, "item": 7}, {"type": ADDED, "item": {"type": 7}}, {"type": DONE, "item": None},
        {"type": "response.content_part.added", "part": 7}, {"type": "response.content_part.done"},
        {"type": "response.content_part.added", "part": {"type": "tide"}},
        {"type": "response.reasoning_summary_part.done"},
        {"type": "response.output_text.delta", "delta": 7}, {"type": "response.output_text.delta"},
        {"type": "response.output_text.annotation.added", "annotation": 7}, {"type": "response.created", "response": 7},
        {"type": "response.function_call_arguments.delta", "delta": "x"}, {"type": 7}, {},
        {"type": "response.output_text.done", "text": None}, {"type": "response.in_progress"},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_event_costs_nothing(event: dict[str, Any]) -> None:
    found = parts({"type": "response.output_text.delta", "delta": "Hi", "item_id": "msg_1"}, event)
    assert [part.text for part in found] == ["Hi"]


@pytest.mark.parametrize(
    "item",
    [
        {"content": "Hi"}, {"content": [7, {"type": "output_text", "text": "Hi"}]}, {"content": [{"text": "Hi"}]},
        {"content": [{"type": "tide", "text": "Hi"}]},
        {"content": [{"type": "output_text", "text": "Hi", "annotations": 7, "logprobs": [7, {"token": "x"}]}]},
        {"content": [{"type": "output_text", "text": "Hi", "annotations": [7]}], "id": 7, "phase": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_message_is_read_whatever_its_shape(item: dict[str, Any]) -> None:
    message = {"type": "message"} | item
    for found in (read_response(output=[message]).choices[0].parts, parts({"type": DONE, "item": message})):
        assert [part.text for part in found if isinstance(part, Text)] == ["Hi"]


def test_other_items_are_read_whatever_their_shape() -> None:
    output = [
        7, {}, {"type": "message"}, {"type": "message", "content": 7}, {"type": "reasoning"},
        {"type": "reasoning", "summary": 7, "content": [7], "encrypted_content": 7}, {"type": "tide"},
        {"type": "reasoning", "summary": [{"text": "Look."}]}, call(name=None), call(arguments={"a": 1}, call_id=None),
        call(arguments=None), {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
    ]  # fmt: skip
    found = read_response(output=output).choices[0].parts
    kinds = [type(part) for part in found]
    assert kinds == [Opaque, Reasoning, ToolCall, ToolCall, Refusal]
    assert [part.arguments for part in found if isinstance(part, ToolCall)] == ['{"a":1}', ""]
    assert [part.call_id for part in found if isinstance(part, ToolCall)] == ["gen-1_1", "call_1"]


def test_a_call_begins_with_its_name() -> None:
    delta = {"type": "response.function_call_arguments.delta", "item_id": "fc_1"}
    done = call(id="fc_1", arguments='{"a":1}', namespace="port")
    (found,) = parts(delta | {"delta": '{"a"'}, delta | {"delta": ":1}"}, {"type": DONE, "item": done})
    assert (found.name, found.arguments, found.item_id) == ("hoist", '{"a":1}', "fc_1")
    assert found.extras == {"openai_responses": {"namespace": "port"}}
    assert parts(delta | {"delta": "{}"}) == []


def test_deltas_without_an_item_make_one() -> None:
    found = parts(
        {"type": "response.reasoning_summary_text.delta", "delta": "Look."},
        {"type": "response.refusal.delta", "delta": "No"},
        {"type": "response.refusal.done", "refusal": "No way"},
        {"type": "response.custom_tool_call_input.done", "input": "x"},
    )
    assert [type(part) for part in found] == [Reasoning, Refusal]
    assert found[1].text == "No way"


def test_repeated_events_make_no_doubles() -> None:
    message = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hi"}]}
    late = {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hi"}
    added = {"type": ADDED, "item": message | {"content": []}}
    done = {"type": DONE, "item": message}
    found = parts(added, added, late, done, done, late, added, {**late, "type": "response.output_text.done"})
    assert [part.text for part in found] == ["Hi"]
    part_done = {
        "type": "response.content_part.done",
        "item_id": "msg_1",
        "part": {"type": "output_text", "text": "Hi"},
    }
    note = {"type": "response.output_text.annotation.added", "item_id": "msg_1", "annotation": {"url": "u"}}
    assert [part.text for part in parts(added, late, part_done, done, part_done, note)] == ["Hi"]


def test_annotations_come_once() -> None:
    cited = {"type": "url_citation", "url": "u", "title": "t", "start_index": 5, "end_index": 2}
    text = {"type": "output_text", "text": "Hi", "annotations": [cited, cited]}
    note = {"type": "response.output_text.annotation.added", "item_id": "msg_1", "annotation": cited}
    message = {"type": "message", "id": "msg_1", "content": [text]}
    (found,) = parts(note | {"annotation_index": 0}, note | {"annotation_index": 0}, {"type": DONE, "item": message})
    assert [(one.url, one.start) for one in found.citations] == [("u", None), ("u", None)]


def test_a_custom_tool_that_stands_for_itself_as_a_function() -> None:
    context = DecodeContext(generation_id="gen-1", tool_names={"s": "sail!"}, custom_tools=frozenset({"s"}))
    asked = call(id="fc_1", name="s", arguments='{"input":"to Genoa"}')
    pieces = [{"type": "response.function_call_arguments.delta", "delta": d} for d in ('{"input":"to', ' Genoa"}')]
    streamed = [{"type": ADDED, "item": asked | {"arguments": ""}}, *pieces, {"type": DONE, "item": asked}]
    for found in (parts(*streamed, context=context), read_response(context, output=[asked]).choices[0].parts):
        assert [(one.name, one.kind, one.arguments) for one in found] == [("sail!", "custom", "to Genoa")]
    for odd in ("to Genoa", '{"input":7}'):
        (one,) = read_response(context, output=[asked | {"arguments": odd}]).choices[0].parts
        assert isinstance(one, ToolCall) and one.arguments == odd


def test_gathered_arguments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_readers, "MAX_PENDING", 10)
    delta = {"type": "response.function_call_arguments.delta", "delta": "x" * 6}
    found = read_events(delta, delta)
    assert found.error is not None and "call of more than 10 characters" in found.error.message


def test_items_of_the_provider_are_complete_or_nothing() -> None:
    """A hosted call that never ends is told where the answer ends well, and not where it breaks."""
    item = {"type": "mcp_call", "id": "mcp_1", "name": "tides", "arguments": "{}"}
    delta = {"type": "response.mcp_call_arguments.delta", "item_id": "mcp_1", "delta": "{}"}
    (found,) = parts({"type": ADDED, "item": item}, delta)
    assert isinstance(found, Opaque) and json.loads(bytes(found.raw)) == item
    assert read_events({"type": ADDED, "item": item}).choices == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "Out of memory"}, "provider_unavailable"),
        ({"error": {"code": 429, "message": "Slow down"}}, "rate_limit_exceeded"),
        ({"error": {"type": "timeout"}}, "timeout"),
        ({"error": {"code": "bio_policy", "message": "No."}}, "content_policy_violation"),
        ({"error": {"message": "This violates our content management policy"}}, "content_policy_violation"),
        ({"object": "error", "message": "maximum prompt length is 7"}, "context_length_exceeded"),
        ({"status": "in_progress", "output": []}, "provider_unavailable"),
        ({"status": "completed"}, "provider_unavailable"),
        ([], "provider_unavailable"),
    ],
    ids=str,
)
def test_errors_in_place_of_an_answer(body: Any, kind: str) -> None:
    with pytest.raises(ApiError) as raised:
        FORMAT.decode(json.dumps(body).encode(), CONTEXT)
    assert raised.value.error_type == kind


def test_errors_of_streams_in_other_shapes() -> None:
    for event in ({"error": {"message": "Gone"}}, {"type": "error", "message": "Gone"}, {"error": "Gone"}):
        found = read_events(event)
        assert found.error is not None and found.error.message == "Gone"
    decoder = FORMAT.decoder(CONTEXT)
    batch = decoder.feed("error", b'{"message":"Gone"}')
    assert batch is not None and "Gone" in str(batch.events())
    failed = read_events({"type": "response.failed", "response": {}})
    assert failed.error is not None and failed.error.message == "The provider's response is failed"
    cancelled = read_events({"type": "response.completed", "response": {"status": "cancelled"}})
    assert cancelled.error is not None and cancelled.error.message == "The provider's response is cancelled"


def test_json_that_is_not_strict_is_read() -> None:
    found = read_events(b'{"type":"response.output_text.delta","delta":"\xff","x":NaN}', json.dumps(END).encode())
    assert [part.text for part in found.choices[0].parts if isinstance(part, Text)] == ["\ufffd"]


def test_log_probabilities_are_read_whatever_their_shape() -> None:
    ranked = [7, {"token": 7}, {"token": "a", "logprob": -1, "bytes": ["x"]}]
    token = {"token": "Hi", "logprob": -1, "bytes": None, "top_logprobs": ranked}
    delta = {"type": "response.output_text.delta", "delta": "Hi", "logprobs": [token, {"token": "x", "logprob": True}]}
    found = read_events(delta, {"type": "response.refusal.delta", "delta": "No", "logprobs": [token]}, END)
    one, other = (json.loads(bytes(raw)) for raw in found.choices[0].logprobs)
    assert one["content"] == [{"token": "Hi", "logprob": -1, "bytes": None, "top_logprobs": [
        {"token": "a", "logprob": -1, "bytes": None}]}]  # fmt: skip
    assert other.keys() == {"refusal"}
