"""Draw answers from the grammar of events."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from hypothesis import strategies as st

from router_service.core.events import (
    Began,
    Ended,
    Event,
    Finished,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
)
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage
from router_service.core.wire.anthropic import DIALECT, REASONING_FORMAT

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TOKEN = st.text("abcXYZ019+/=", min_size=1, max_size=30)
ORIGIN = st.none() | st.sampled_from(["anthropic_messages/key-1", "openai_responses/org:2", "gemini/süd"])
FORMAT = st.none() | st.sampled_from([REASONING_FORMAT, "openai-responses-v1", "google-gemini-v1"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, VALUE, max_size=4)
NATIVE_BLOCKS: list[dict[str, Any]] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "sea charts"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://a.example",
                "title": "A",
                "encrypted_content": "e",
                "page_age": None,
            }
        ],
    },
    {
        "type": "bash_code_execution_tool_result",
        "tool_use_id": "srvtoolu_2",
        "content": {
            "type": "bash_code_execution_result",
            "stdout": "4",
            "stderr": "",
            "return_code": 0,
            "content": [],
        },
    },
    {"type": "container_upload", "file_id": "file_1"},
]
NATIVE_CITATIONS: list[dict[str, Any]] = [
    {
        "type": "char_location",
        "cited_text": "blue",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 4,
    },
    {
        "type": "web_search_result_location",
        "url": "https://a.example",
        "title": "A",
        "cited_text": "b",
        "encrypted_index": "Eo8",
    },
]


def _native_citation(found: dict[str, Any]) -> Citation:
    return Citation(
        url=found.get("url"),
        title=found.get("title"),
        cited_text=found["cited_text"],
        dialect=DIALECT,
        raw=msgspec.Raw(msgspec.json.encode(found)),
    )


CITATION = st.sampled_from(NATIVE_CITATIONS).map(_native_citation) | st.builds(
    Citation, url=st.just("https://b.example"), title=st.none() | TEXT, cited_text=st.none() | TEXT.filter(bool)
)
ARGUMENTS = (
    OBJECT.map(lambda found: msgspec.json.encode(found).decode())
    | OBJECT.map(lambda found: msgspec.json.format(msgspec.json.encode(found)).decode())
    | TEXT
    | st.sampled_from(["", "{", '{"a": ', '{"a":1,"b":"cut', '{"a":1}{"b":2}', '{"a":1,}', "[1]", '{"a":[1}', "null"])
)
CALL_ID = st.from_regex(r"(call|toolu)_[A-Za-z0-9]{1,20}", fullmatch=True) | st.sampled_from(["functions.f:0", "a b"])


@st.composite
def tool_calls(draw: st.DrawFn) -> ToolCall:
    """Draw a call; what its id has to carry is known from its beginning."""
    call = ToolCall(call_id=draw(CALL_ID), name=draw(st.sampled_from(["get_weather", "f"])), arguments=draw(ARGUMENTS))
    if draw(st.booleans()):
        call.signature, call.item_id = draw(st.none() | TOKEN), draw(st.none() | TOKEN)
        call.origin = draw(ORIGIN)
    return call


REASONING = st.builds(
    Reasoning,
    text=TEXT,
    signature=st.none() | TOKEN,
    item_id=st.none() | TOKEN,
    origin=ORIGIN,
    encrypted=st.none() | TOKEN,
    format=FORMAT,
    summary=st.booleans(),
)
IMAGE = st.builds(
    Media,
    kind=st.just("image"),
    media_type=st.just("image/png"),
    data=st.binary(min_size=1, max_size=30).map(lambda found: base64.b64encode(found).decode()),
)
NATIVE = st.sampled_from(NATIVE_BLOCKS).map(
    lambda block: Opaque(dialect=DIALECT, raw=msgspec.Raw(msgspec.json.encode(block)))
)
FOREIGN = st.builds(Opaque, dialect=st.just("openai_responses"), raw=st.just(msgspec.Raw(b"{}")), text=st.none() | TEXT)
TEXTS = st.builds(Text, text=TEXT, citations=st.lists(CITATION, max_size=2))
PART: st.SearchStrategy[AnyPart] = st.one_of(
    TEXTS, REASONING, tool_calls(), IMAGE, NATIVE, FOREIGN, st.builds(Refusal, text=TEXT)
)
USAGE = st.builds(
    Usage,
    prompt_tokens=st.integers(200, 10_000),
    completion_tokens=st.integers(0, 10_000),
    cached_tokens=st.none() | st.integers(0, 100),
    cache_write_tokens=st.none() | st.integers(0, 100),
    cache_write_1h_tokens=st.none() | st.integers(0, 100),
    reasoning_tokens=st.none() | st.integers(0, 100),
)
FINISHED = st.one_of(
    st.builds(
        Finished,
        choice=st.just(0),
        reason=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "pause_turn"]),
        native=st.none() | st.just("model_context_window_exceeded"),
    ),
    st.builds(Finished, choice=st.just(0), reason=st.just("stop"), stop_sequence=TEXT),
    st.just(
        Finished(
            choice=0,
            reason="content_filter",
            native="refusal",
            details={"type": "refusal", "category": "cyber", "explanation": None},
        )
    ),
)


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def _events_of(draw: st.DrawFn, part: AnyPart, index: int) -> list[Event]:
    """Return the events of one part, its content cut anywhere between its beginning and its deltas."""
    ended = PartEnded(choice=0, index=index)
    match part:
        case Text() | Refusal() | Reasoning():
            first, *rest = _cut(draw, part.text)
            began = msgspec.structs.replace(part, text=first)
            deltas = [PartDelta(choice=0, index=index, text=text) for text in rest]
            if isinstance(part, Text) and isinstance(began, Text):
                split = draw(st.integers(0, len(part.citations)))
                began.citations = part.citations[:split]
                deltas += [PartDelta(choice=0, index=index, citation=one) for one in part.citations[split:]]
            if isinstance(began, Reasoning) and draw(st.booleans()):
                ended = PartEnded(choice=0, index=index, signature=began.signature, item_id=began.item_id)
                began.signature = began.item_id = None
            return [PartBegan(0, index, began), *deltas, ended]
        case ToolCall():
            first, *rest = _cut(draw, part.arguments)
            return [
                PartBegan(0, index, msgspec.structs.replace(part, arguments=first)),
                *(PartDelta(choice=0, index=index, text=text) for text in rest),
                ended,
            ]
        case Media():
            first, *rest = _cut(draw, part.data or "")
            return [
                PartBegan(0, index, msgspec.structs.replace(part, data=first)),
                *(PartDelta(choice=0, index=index, data=data) for data in rest),
                ended,
            ]
        case _:
            return [PartBegan(0, index, part), ended]


@st.composite
def answers(draw: st.DrawFn, parts: st.SearchStrategy[AnyPart] = PART) -> list[Event]:
    """Draw the events of a complete answer; its parts interleave, and usage is reported anywhere."""
    indexes = draw(st.permutations(range(5)))
    waiting = [_events_of(draw, part, indexes[i]) for i, part in enumerate(draw(st.lists(parts, max_size=5)))]
    events: list[Event] = [Began(upstream_id="up_1", service_tier=draw(st.none() | st.just("priority")))]
    while waiting:
        chosen = draw(st.integers(0, len(waiting) - 1))
        events.append(waiting[chosen].pop(0))
        waiting = [rest for rest in waiting if rest]
    events += [draw(FINISHED), Ended()]
    metered = draw(_usages())
    places = sorted(draw(st.lists(st.integers(0, len(events) - 1), min_size=len(metered), max_size=len(metered))))
    for moved, (place, usage) in enumerate(zip(places, metered, strict=True)):
        events.insert(place + moved, Metered(usage))
    return events


@st.composite
def _usages(draw: st.DrawFn) -> list[Usage]:
    """Draw reports of usage, of which a later one never says less."""
    last = draw(st.none() | USAGE)
    if last is None:
        return []
    fields = {"completion_tokens": draw(st.integers(0, last.completion_tokens)), "reasoning_tokens": None}
    if draw(st.booleans()):
        fields |= {"cached_tokens": None, "cache_write_tokens": None, "cache_write_1h_tokens": None}
    return [msgspec.structs.replace(last, **fields), last]


@st.composite
def batched(draw: st.DrawFn, events: list[Event]) -> list[list[Event]]:
    """Draw the same events in batches."""
    places = sorted(draw(st.lists(st.integers(0, len(events)), max_size=5)))
    return [events[start:end] for start, end in zip([0, *places], [*places, len(events)], strict=True)]
