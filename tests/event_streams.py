"""Strategies for streams of events: any that the grammar allows, for tests of everything that reads events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw

from router_service.core.events import (
    Began,
    Ended,
    Event,
    Finished,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
    PartProgressed,
)
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
WORDS = st.text("abcXYZ012_-", min_size=1, max_size=10)
ORIGINS = st.none() | st.sampled_from(["anthropic_messages/anthropic", "openai_chat/own", "gemini"])
FORMATS = st.sampled_from([None, "anthropic-claude-v1", "openai-responses-v1", "google-gemini-v1", "unknown"])
REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "pause_turn"])
TOKENS = st.text("ABCabc123+/=", min_size=1, max_size=12)


@st.composite
def logprobs(draw: st.DrawFn) -> Raw:
    token: dict[str, Any] = {"token": draw(TEXTS), "logprob": draw(st.floats(-20, 0))}
    if draw(st.booleans()):
        token["bytes"] = [1, 2]
    field = draw(st.sampled_from(["content", "refusal"]))
    return Raw(json.dumps({field: [token]}).encode())


@st.composite
def citations(draw: st.DrawFn) -> Citation:
    start = draw(st.none() | st.integers(0, 3))
    end = None if start is None else start + draw(st.integers(0, 3))
    return Citation(
        url="https://example.com/",
        title=draw(st.none() | WORDS),
        cited_text=draw(st.none() | TEXTS),
        start=start,
        end=end,
    )


@st.composite
def parts(draw: st.DrawFn) -> AnyPart:
    """Draw a part as ``PartBegan`` holds it, with or without content."""
    text = draw(st.just("") | TEXTS)
    signature = draw(st.none() | TOKENS)
    item_id, origin = draw(st.none() | WORDS), draw(ORIGINS)
    match draw(st.sampled_from(["text", "reasoning", "refusal", "call", "image", "audio", "opaque", "video"])):
        case "reasoning":
            form = draw(FORMATS)
            encrypted = draw(st.none() | TOKENS)
            # A block of these two formats is either readable or encrypted.
            both = form not in ("anthropic-claude-v1", "google-gemini-v1")
            return Reasoning(
                text=text if both or encrypted is None else "",
                summary=draw(st.booleans()),
                encrypted=encrypted,
                format=form,
                signature=signature if both or encrypted is None else None,
                item_id=item_id,
                origin=origin,
            )
        case "refusal":
            return Refusal(text=text)
        case "call":
            kind = draw(st.sampled_from(["function", "function", "custom", "hosted"]))
            return ToolCall(
                call_id=draw(WORDS | st.just("")),
                name=draw(WORDS),
                arguments=text,
                kind=kind,
                signature=signature,
                origin=origin,
            )
        case "image":
            return (
                Media(kind="image", url="https://example.com/a.png")
                if text
                else Media(kind="image", media_type="image/webp")
            )
        case "audio":
            return Media(kind="audio", item_id=item_id)
        case "video":
            return Media(kind="video", url="https://example.com/a.mp4")
        case "opaque":
            return Opaque(dialect="anthropic_messages", raw=Raw(b"{}"), text=draw(st.none() | TEXTS))
        case _:
            return Text(text=text)


def _takes(part: AnyPart) -> str:
    match part:
        case Reasoning(encrypted=str(), format="anthropic-claude-v1" | "google-gemini-v1"):
            return ""
        case Text() | Reasoning() | Refusal() | ToolCall():
            return "text"
        case Media(url=None):
            return "data"
        case _:
            return ""


@st.composite
def deltas(draw: st.DrawFn, choice: int, index: int, part: AnyPart) -> PartDelta:
    takes = _takes(part)
    return PartDelta(
        choice=choice,
        index=index,
        text=draw(TEXTS) if takes == "text" else "",
        data=draw(st.text("ABCD", max_size=4)) if takes == "data" else "",
        transcript=draw(TEXTS) if takes == "data" else "",
        citation=draw(st.none() | citations()) if isinstance(part, Text) else None,
        logprobs=draw(st.none() | st.none() | logprobs()),
    )


def searched(choice: int) -> list[PartProgressed]:
    """Return the steps of two searches, whose items are never complete."""
    found = []
    for own, step in ((own, step) for step in ("in_progress", "searching") for own in ("ws_1", "ws_2")):
        asked = {"type": "search", "query": "tides"}
        item = json.dumps({"type": "web_search_call", "id": own, "status": "in_progress", "action": asked}).encode()
        part = Opaque(dialect="openai_responses", raw=Raw(item), item_id=own, origin="openai_responses/openai")
        found.append(PartProgressed(choice, part, f"response.web_search_call.{step}"))
    return found


@st.composite
def _choice_events(draw: st.DrawFn, choice: int) -> list[Event]:
    """Draw the events of one choice, whose parts may interleave."""
    events: list[Event] = []
    open_parts: dict[int, AnyPart] = {}
    steps = searched(choice)
    count = 0
    for _ in range(draw(st.integers(0, 14))):
        step = draw(st.sampled_from(["begin", "delta", "delta", "end", "progress"]))
        if step == "progress":
            events += steps[:1]
            del steps[:1]
        elif step == "begin" or not open_parts:
            part = draw(parts())
            open_parts[count] = part
            events.append(PartBegan(choice, count, part))
            count += 1
        else:
            index = draw(st.sampled_from(sorted(open_parts)))
            if step == "delta" and _takes(open_parts[index]):
                events.append(draw(deltas(choice, index, open_parts[index])))
            else:
                events.append(draw(_ends(choice, index, open_parts.pop(index))))
    order = draw(st.permutations(sorted(open_parts)))
    events += [draw(_ends(choice, index, open_parts[index])) for index in order]
    reason = draw(REASONS)
    events.append(Finished(choice=choice, reason=reason, native=draw(st.none() | WORDS)))
    return events


@st.composite
def _ends(draw: st.DrawFn, choice: int, index: int, part: AnyPart) -> PartEnded:
    signed = isinstance(part, Reasoning | ToolCall) and _takes(part) == "text"
    named = isinstance(part, Reasoning) and part.item_id is None
    return PartEnded(
        choice=choice,
        index=index,
        signature=draw(st.none() | TOKENS) if signed else None,
        item_id=draw(st.none() | WORDS) if named else None,
    )


@st.composite
def event_streams(draw: st.DrawFn, max_choices: int = 3) -> list[Event]:
    """Draw a complete answer: its choices are interleaved in any way."""
    waiting = [draw(_choice_events(number)) for number in range(draw(st.integers(1, max_choices)))]
    events: list[Event] = [
        Began(upstream_id=draw(st.none() | WORDS), service_tier=draw(st.sampled_from([None, "default"])))
    ]
    while any(waiting):
        found = draw(st.sampled_from([one for one in waiting if one]))
        events.append(found.pop(0))
        if draw(st.integers(0, 9)) == 0:
            events.append(Metered(Usage(1, 2)))
    return [*events, Ended()]
