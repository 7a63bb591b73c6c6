"""Test that every answer of the router can be sent back to this format, and that its own answers return unchanged."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given

from lab.responses_ids import ItemSeals
from lab.responses_refusals import refuse_responses
from lab.responses_script import ResponseScript
from lab.script import Called, Declined, HiddenThought, Part, SaidText, Script, Searched, Thought
from lab.text import Ask, complete
from router_service.core.events import Event, fold
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import AnyPart, Text, ToolCall, ToolResult
from tests.event_streams import event_streams
from tests.router_service.providers.formats.openai_responses.responses_world import (
    CONTEXT,
    FORMAT,
    body_of,
    endpoint,
    events_of,
    user,
)

HEADERS = {"authorization": "Bearer key"}
SEALS = ItemSeals(7)


def conversation(parts: list[AnyPart]) -> GenerationRequest:
    """Return a conversation that goes on after an answer of ``parts``; its calls are answered."""
    calls = [part for part in parts if isinstance(part, ToolCall) and part.kind != "hosted"]
    results: list[Any] = [ToolResult(call_id=call.call_id, content=[Text(text="ok")]) for call in calls]
    turns = [user("Hello!"), Message(role="assistant", parts=parts)]
    turns += [Message(role="tool", parts=results)] if results else []
    return GenerationRequest(messages=[*turns, user("Go on.")])


@given(event_streams(max_choices=1))
def test_any_answer_can_be_sent_back(events: list[Event]) -> None:
    """Whatever another format has answered, the vendor accepts it as history."""
    parts = fold(events).choices[0].parts
    refuse_responses(body_of(conversation(parts), endpoint("model-1", "mine")), HEADERS, SEALS)


SCRIPTS: dict[str, tuple[Part, ...]] = {
    "text": (SaidText(("High", " water.")),),
    "refusal": (SaidText(("No.",)), Declined(("I", " cannot."))),
    "reasoning": (Thought(("Look", " twice.")), HiddenThought("hidden"), SaidText(("High", " water."))),
    "calls": (Thought(("Look.",)), SaidText(("I look.",)), Called(1, "find", "{}"), Called(2, "hoist", '{"a":1}')),
    "custom": (HiddenThought("x"), Called(1, "sail", "to Genoa", custom=True)),
    "interleaved": (Thought(("One.",)), Called(1, "find", "{}"), Thought(("Two.",)), SaidText(("Noon.",))),
    "search": (Thought(("Look.",)), Searched("ws", "tides", ()), SaidText(("Noon.",))),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_an_answer_of_the_vendor_returns_unchanged(name: str, stream: bool) -> None:
    """The items of an answer go back as they came, ids and encrypted reasoning included, and are not refused."""
    asked = {"model": "gpt-5.2-codex", "include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    completion = complete(Ask(40, None, None), random.Random(name))
    written = ResponseScript(Script(SCRIPTS[name]), completion, asked, SEALS)
    response = written.response()
    pieces = written.events()
    events = events_of(pieces) if stream else FORMAT.decode(json.dumps(response).encode(), CONTEXT)
    body = body_of(conversation(fold(events).choices[0].parts))
    refuse_responses(body, HEADERS, SEALS)
    outputs = ("function_call_output", "custom_tool_call_output")
    sent = [item for item in body["input"][1:-1] if item["type"] not in outputs]
    assert [_comparable(item) for item in sent] == [_comparable(item) for item in response["output"]]
    reasons = any(item["type"] == "reasoning" for item in response["output"])
    assert [item.get("id") for item in sent] == [item["id"] if reasons else None for item in response["output"]]


def _comparable(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item without what the vendor adds to it: its id, its status and empty lists."""
    found = {name: value for name, value in item.items() if name not in ("id", "status")}
    if item["type"] == "message":
        found["content"] = [{n: v for n, v in part.items() if v != []} for part in item["content"]]
    return found | ({"status": None} if item["type"] == "web_search_call" else {})
