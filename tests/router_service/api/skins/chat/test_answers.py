"""Whatever events make up an answer, its stream and its whole say the same, and official SDKs can read both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from router_service.api.skins.chat.render import render_response
from router_service.api.skins.chat.stream import ChatStreamRenderer
from router_service.core.answer import EventBatch
from router_service.core.events import Began, Ended, Event, Finished, PartBegan, PartDelta, PartEnded, fold
from router_service.core.parts import AnyPart, Media, Reasoning, Refusal, Text, ToolCall
from tests.event_streams import event_streams
from tests.router_service.api.skins.chat.answers import (
    HEAD,
    USAGE,
    accumulate,
    chunks_of,
    parse_message,
    validate_chunk,
    validate_completion,
    without_kinds,
)

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
THOROUGH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)


def stream_of(events: list[Event], *, exclude_reasoning: bool = False) -> list[dict[str, Any]]:
    renderer = ChatStreamRenderer(HEAD, exclude_reasoning=exclude_reasoning)
    found = b"".join(renderer.render(EventBatch([event])) for event in events)
    assert renderer.ended and renderer.error is None
    ending = renderer.close(USAGE)
    assert ending.endswith(b"data: [DONE]\n\n")
    return chunks_of(found + ending)


def rendered(events: list[Event], *, exclude_reasoning: bool = False) -> dict[str, Any]:
    body = render_response(fold(events), HEAD, USAGE, exclude_reasoning=exclude_reasoning)
    found: dict[str, Any] = json.loads(json.dumps(body))
    return found


def essence(choice: dict[str, Any]) -> dict[str, Any]:
    """Return what a choice says: parts of reasoning in place of their entries, which SDKs merge, and no empty field."""
    message = choice["message"]
    turn = parse_message(message)
    signed = {
        part.call_id: (part.signature, part.origin)
        for part in turn.parts
        if isinstance(part, ToolCall) and part.call_id
    }
    thoughts = [part for part in turn.parts if isinstance(part, Reasoning)]
    lists = {
        name: [{key: value for key, value in one.items() if key != "index"} for one in message.get(name) or ()]
        for name in ("annotations", "images", "tool_calls")
    }
    logprobs = choice.get("logprobs") or {}
    return {
        "index": choice["index"],
        "finish": choice["finish_reason"],
        "role": message["role"],
        "texts": [message.get(name) or "" for name in ("content", "refusal", "reasoning")],
        "audio": message.get("audio"),
        "reasoning": thoughts,
        "signed": signed,
        "logprobs": [logprobs.get(name) or [] for name in ("content", "refusal")],
        **lists,
    }


@THOROUGH
@given(event_streams())
def test_a_stream_adds_up_to_the_whole_answer(events: list[Event]) -> None:
    """The openai SDK's sum of the chunks says what the non-streaming response says, for each choice."""
    whole, chunks = rendered(events)["choices"], stream_of(events)
    assert [essence(choice) for choice in accumulate(chunks)] == [essence(choice) for choice in whole]
    ends = [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"] is not None]
    native = {choice["index"]: choice["native_finish_reason"] for choice in ends}
    assert len(ends) == len(whole)
    assert native == {choice["index"]: choice["native_finish_reason"] for choice in whole}


@THOROUGH
@given(event_streams())
def test_excluded_reasoning_is_in_neither(events: list[Event]) -> None:
    whole = rendered(events, exclude_reasoning=True)["choices"]
    streamed = accumulate(stream_of(events, exclude_reasoning=True))
    assert [essence(choice) for choice in streamed] == [essence(choice) for choice in whole]
    for choice in (*whole, *streamed):
        assert not choice["message"].get("reasoning") and not choice["message"].get("reasoning_details")


@THOROUGH
@given(event_streams())
def test_both_sdks_validate_every_answer(events: list[Event]) -> None:
    """Neither SDK has a type for calls of custom tools in all places, so that these alone are left out."""
    plain = without_kinds(events, (ToolCall,), lambda part: part.kind != "custom")
    body = rendered(plain)
    # The finish reason of a paused turn is one that SDKs know.
    validate_completion(body)
    for chunk in stream_of(plain):
        validate_chunk(chunk)


@THOROUGH
@given(event_streams(max_choices=1))
def test_the_message_of_an_answer_comes_back_as_its_parts(events: list[Event]) -> None:
    """Reasoning with signatures, calls, refusals and media return; texts return joined, as the dialect has one."""
    result = fold(events)
    original = result.choices[0].parts
    turn = parse_message(rendered(events)["choices"][0]["message"])
    assert [_reasoning(part) for part in turn.parts if isinstance(part, Reasoning)] == [
        _reasoning(part)
        for part in original
        if isinstance(part, Reasoning) and (part.text or part.signature or part.encrypted)
    ]
    assert [_call(part) for part in turn.parts if isinstance(part, ToolCall)] == [
        _call(part) for part in original if isinstance(part, ToolCall) and part.kind != "hosted"
    ]
    assert "".join(part.text for part in turn.parts if isinstance(part, Refusal)) == "".join(
        part.text for part in original if isinstance(part, Refusal)
    )
    assert [_image(part) for part in turn.parts if _is_image(part)] == [
        _image(part) for part in original if _is_image(part)
    ]
    cited = [citation for part in turn.parts if isinstance(part, Text) for citation in part.citations]
    sent = [citation for part in original if isinstance(part, Text) for citation in part.citations]
    assert [(one.url, one.cited_text) for one in cited] == [(one.url, one.cited_text) for one in sent]


def _reasoning(part: Reasoning) -> tuple[Any, ...]:
    has_format = part.format and part.format != "unknown"
    return (
        part.text,
        part.summary if part.text else None,
        part.signature,
        part.encrypted,
        part.format if has_format else None,
        part.item_id,
        # Where the format names the kind of token, the origin does not travel.
        part.origin if not has_format and (part.signature or part.encrypted) else None,
    )


def _call(part: ToolCall) -> tuple[Any, ...]:
    return part.name, part.arguments, part.kind, part.signature, part.origin if part.signature else None


def _is_image(part: AnyPart) -> bool:
    return isinstance(part, Media) and part.kind == "image" and bool(part.url or part.data)


def _image(part: AnyPart) -> tuple[Any, ...]:
    assert isinstance(part, Media)
    return part.url, part.data, part.media_type


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_batch_of_several_events_is_the_same_stream(size: int) -> None:
    """Test that the cut of events into batches changes no byte."""
    events = [
        Began(),
        PartBegan(0, 0, Reasoning(format="anthropic-claude-v1")),
        PartDelta(choice=0, index=0, text="I think."),
        PartEnded(choice=0, index=0, signature="c2ln"),
        PartBegan(0, 1, Text()),
        PartDelta(choice=0, index=1, text="Hello"),
        PartBegan(0, 2, ToolCall(call_id="call_1", name="f")),
        PartDelta(choice=0, index=2, text="{}"),
        PartDelta(choice=0, index=1, text="!"),
        PartEnded(choice=0, index=2),
        PartEnded(choice=0, index=1),
        Finished(choice=0, reason="tool_calls"),
        Ended(),
    ]
    one, several = ChatStreamRenderer(HEAD), ChatStreamRenderer(HEAD)
    expected = b"".join(one.feed([event]) for event in events)
    assert b"".join(several.feed(events[i : i + size]) for i in range(0, len(events), size)) == expected
    assert len(chunks_of(expected)) == 7
