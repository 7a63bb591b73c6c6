"""Test that the checker of streams refuses what the specification forbids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.router_service.api.skins.responses.responses_grammar import SpecificationError, check_events, check_stream

PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
TEXT = {"type": "output_text", "text": "", "annotations": []}
FULL = TEXT | {"text": "Hi"}


def message(status: str, *content: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": list(content)}


def response(status: str, *output: Any, **more: Any) -> dict[str, Any]:
    common = {"id": "resp_1", "object": "response", "status": status, "error": None, "incomplete_details": None}
    return common | {"output": list(output)} | more


def valid() -> list[dict[str, Any]]:
    """Return the events of a message with one text."""
    events = [
        {"type": "response.created", "response": response("in_progress")},
        {"type": "response.in_progress", "response": response("in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": message("in_progress")},
        {"type": "response.content_part.added", **PLACE, "part": TEXT},
        {"type": "response.output_text.delta", **PLACE, "delta": "H", "logprobs": []},
        {"type": "response.output_text.delta", **PLACE, "delta": "i", "logprobs": []},
        {"type": "response.output_text.done", **PLACE, "text": "Hi", "logprobs": []},
        {"type": "response.content_part.done", **PLACE, "part": FULL},
        {"type": "response.output_item.done", "output_index": 0, "item": message("completed", FULL)},
        {"type": "response.completed", "response": response("completed", message("completed", FULL))},
    ]
    return numbered(events)


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def test_a_valid_stream_is_accepted() -> None:
    events = valid()
    blocks = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    stream = ": comment\n\n".join(blocks) + "data: [DONE]\n\n"
    assert check_stream(stream.encode()) == events


@pytest.mark.parametrize("left_out", range(10))
def test_no_event_may_be_left_out(left_out: int) -> None:
    events = valid()
    del events[left_out]
    with pytest.raises(SpecificationError):
        check_events(numbered(events))


@pytest.mark.parametrize("place", range(9))
def test_no_two_events_may_change_places(place: int) -> None:
    events = valid()
    events[place], events[place + 1] = events[place + 1], events[place]
    if events[place]["type"] == events[place + 1]["type"]:
        events[place]["delta"] += "!"
    with pytest.raises(SpecificationError):
        check_events(numbered(events))


@pytest.mark.parametrize("repeated", range(10))
def test_no_event_may_be_repeated(repeated: int) -> None:
    events = valid()
    events.insert(repeated, events[repeated])
    with pytest.raises(SpecificationError):
        check_events(numbered(events))


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (3, {"sequence_number": 9}),
        (4, {"item_id": "msg_2"}),
        (4, {"output_index": 1}),
        (5, {"content_index": 1}),
        (6, {"text": "Ho"}),
        (7, {"part": TEXT | {"text": "Hi", "annotations": [1]}}),
        (8, {"item": message("completed", FULL | {"text": "Ho"})}),
        (8, {"item": message("incomplete", FULL)}),
        (8, {"item": message("in_progress", FULL)}),
        (9, {"response": response("completed")}),
        (9, {"response": response("incomplete", message("completed", FULL))}),
        (9, {"response": response("completed", message("completed", FULL), error={})}),
        (9, {"response": response("completed", message("completed", FULL), incomplete_details={})}),
        (9, {"response": response("completed", message("completed", FULL), id="resp_2")}),
    ],
)
def test_what_events_say_must_agree(place: int, change: dict[str, Any]) -> None:
    events = valid()
    events[place] |= change
    with pytest.raises(SpecificationError):
        check_events(events)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"data: [DONE]",
        b'event: a\ndata: {"type":"b"}\n\ndata: [DONE]\n\n',
        b"id: 1\nevent: a\ndata: {}\n\ndata: [DONE]\n\n",
    ],
)
def test_the_transport_is_checked_too(stream: bytes) -> None:
    with pytest.raises(SpecificationError):
        check_stream(stream)


def test_an_error_is_followed_by_the_failure() -> None:
    failed = response("failed", message("incomplete"), error={"code": "server_error", "message": "It broke"})
    error = {"type": "error", "code": "server_error", "message": "It broke", "param": None}
    events = valid()[:3]
    check_events(numbered([*events, error, {"type": "response.failed", "response": failed}]))
    with pytest.raises(SpecificationError):
        check_events(numbered([*events, error, *valid()[3:]]))


SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
OF_SEARCH = {"item_id": "ws_1", "output_index": 0}


def searching(*steps: str, kind: str = "web_search_call") -> list[dict[str, Any]]:
    """Return the events of a response with a tool that tells ``steps``."""
    item = SEARCHED | {"type": kind}
    events = [
        {"type": "response.created", "response": response("in_progress")},
        {"type": "response.in_progress", "response": response("in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress"}},
        *(
            {"type": f"response.{step}", **OF_SEARCH, "partial_image_index": 0, "partial_image_b64": "A"}
            for step in steps
        ),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response("completed", item)},
    ]
    return numbered(events)


@pytest.mark.parametrize(
    "steps",
    [
        ("web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"),
        ("web_search_call.searching", "web_search_call.completed"),
        ("web_search_call.completed",),
        (),
    ],
)
def test_steps_of_a_tool_are_accepted_in_their_order(steps: tuple[str, ...]) -> None:
    check_events(searching(*steps))


@pytest.mark.parametrize(
    "steps",
    [
        ("web_search_call.searching", "web_search_call.in_progress"),
        ("web_search_call.searching", "web_search_call.searching"),
        ("web_search_call.completed", "web_search_call.searching"),
        ("web_search_call.failed",),
        ("web_search_call.interpreting",),
        ("file_search_call.searching",),
        ("code_interpreter_call_code.delta",),
        ("mcp_call.failed",),
    ],
)
def test_steps_that_the_item_does_not_have_are_refused(steps: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError):
        check_events(searching(*steps))


def test_partial_images_are_numbered() -> None:
    stem = "image_generation_call"
    check_events(searching(f"{stem}.generating", f"{stem}.partial_image", f"{stem}.completed", kind=stem))
    with pytest.raises(SpecificationError, match="order of their index"):
        check_events(searching(f"{stem}.partial_image", f"{stem}.partial_image", kind=stem))
