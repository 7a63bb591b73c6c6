"""Test that every answer of the router can be sent back to this format, and that its own answers return unchanged."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given

from lab.gemini_refusals import refuse_generation
from lab.gemini_script import ContentScript
from lab.script import Called, Drawn, Part, SaidText, Script, Searched, Thought
from lab.signatures import Signatures
from lab.text import Ask, complete
from router_service.core.events import Event, fold
from router_service.core.generation import GenerationRequest, Message, Tool
from router_service.core.parts import AnyPart, Opaque, Text, ToolCall, ToolResult
from tests.event_streams import event_streams
from tests.router_service.providers.formats.asked import function, user
from tests.router_service.providers.formats.gemini.gemini_world import (
    CONTEXT,
    FLASH,
    FORMAT,
    PNG,
    Body,
    body_of,
    endpoint,
    events_of,
)
from tests.wire_cases import load_cases

HEADERS = {"x-goog-api-key": "key"}
SIGNATURES = Signatures(7)
TOOLS: list[Tool] = [function("find"), function("hoist")]


def conversation(parts: list[AnyPart]) -> GenerationRequest:
    """Return a conversation that goes on after an answer of ``parts``; its calls are answered."""
    calls = [part for part in parts if isinstance(part, ToolCall) and part.kind != "hosted"]
    results: list[Any] = [ToolResult(call_id=call.call_id, content=[Text(text="ok")]) for call in calls]
    turns = [user("Hello!"), Message(role="assistant", parts=parts)]
    turns += [Message(role="tool", parts=results)] if results else []
    return GenerationRequest(messages=[*turns, user("Go on.")], tools=TOOLS)


def refuse(body: Body, model: str = FLASH) -> None:
    """Raise what the vendor says against ``body``."""
    refuse_generation(body, model, HEADERS, SIGNATURES, vertex=False)


@pytest.mark.parametrize("model", [FLASH, "gemini-2.5-pro"])
@given(events=event_streams(max_choices=1))
def test_any_answer_can_be_sent_back(model: str, events: list[Event]) -> None:
    """Whatever another format has answered, the vendor accepts it as history."""
    parts = fold(events).choices[0].parts
    # What this dialect alone has is what the vendor itself has sent.
    own = [part for part in parts if not isinstance(part, Opaque)]
    refuse(body_of(conversation(own), endpoint(model, "mine")), model)


SCRIPTS: dict[str, tuple[Part, ...]] = {
    "text": (SaidText(("High", " water.")),),
    "thoughts": (Thought(("Look", " twice.")), SaidText(("High", " water."))),
    "calls": (Thought(("Look.",)), SaidText(("I look.",)), Called(1, "find", "{}"), Called(2, "hoist", '{"a":1}')),
    "call": (Called(1, "find", '{"place":"Genoa"}'),),
    "image": (SaidText(("Here:",)), Drawn("image/png", PNG)),
    "search": (Thought(("Look.",)), Searched("ws", "tides", ()), SaidText(("Noon.",))),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", [FLASH, "gemini-2.5-flash", "gemini-3.1-flash-image-preview"])
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_an_answer_of_the_vendor_returns_unchanged(name: str, model: str, stream: bool) -> None:
    """The parts of an answer go back as they came, signatures and ids included, and are not refused."""
    if name == "image" and "image" not in model:
        return
    config = {"thinkingConfig": {"includeThoughts": True}}
    asked = {"model": model, "generationConfig": config, "tools": [{"functionDeclarations": []}]}
    completion = complete(Ask(40, None, None), random.Random(name))
    written = ContentScript(Script(SCRIPTS[name]), completion, asked, SIGNATURES)
    response = written.response()
    events = events_of(written.events()) if stream else FORMAT.decode(json.dumps(response).encode(), CONTEXT)
    body = body_of(conversation(fold(events).choices[0].parts), endpoint(model))
    refuse(body, model)
    assert body["contents"][1] == response["candidates"][0]["content"]


@pytest.mark.parametrize(
    "name", ["signed_text", "thoughts", "tool_call", "tool_calls_parallel", "code_execution", "image_out", "plain_text"]
)
def test_a_documented_answer_returns_unchanged(name: str) -> None:
    """The parts of the fixtures go back as they came, those included that only this dialect has."""
    case = next(case for case in load_cases("gemini") if case.name == name)
    assert case.response is not None
    parts = fold(FORMAT.decode(case.response, CONTEXT)).choices[0].parts
    body = body_of(conversation(parts), endpoint(case.endpoint.upstream_model))
    assert body["contents"][1] == json.loads(case.response)["candidates"][0]["content"]


def test_drafts_of_an_image_are_not_sent_back() -> None:
    """A draft is a thought: it is none of the answer, and the vendor does not want it back."""
    case = next(case for case in load_cases("gemini") if case.name == "image_signed")
    assert case.response is not None
    parts = fold(FORMAT.decode(case.response, CONTEXT)).choices[0].parts
    sent = body_of(conversation(parts), endpoint(case.endpoint.upstream_model))["contents"][1]["parts"]
    came = json.loads(case.response)["candidates"][0]["content"]["parts"]
    assert sent == [part for part in came if not ("inlineData" in part and part.get("thought"))]
