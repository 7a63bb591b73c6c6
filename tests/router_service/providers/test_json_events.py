"""Test answers in Anthropic's format whose text was asked for as JSON in words: thinking takes no forced tool."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.events import Event, Finished, PartBegan, PartDelta, PartEnded, Result, fold
from router_service.core.generation import GenerationRequest, Message, OutputFormat, ReasoningOptions
from router_service.core.parts import Text, ToolCall
from router_service.providers.formats.anthropic_messages.format import AnthropicMessagesFormat
from router_service.providers.json_events import JsonTextEvents
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.parameter_cases import endpoint_for
from tests.router_service.providers.test_json_text import HEALED

FORMAT = AnthropicMessagesFormat()
CONTEXT = DecodeContext(generation_id="gen-1", json_text=True)
THINKING = {"type": "thinking", "thinking": "Hm", "signature": "S"}
USAGE = {"input_tokens": 1, "output_tokens": 2}


def texts(result: Result) -> list[str]:
    return [part.text for part in result.choices[0].parts if isinstance(part, Text)]


def complete(content: list[dict[str, Any]], stop: str = "end_turn") -> Result:
    """Return the result of a non-streaming response."""
    body = {"id": "m", "type": "message", "role": "assistant", "content": content, "stop_reason": stop, "usage": USAGE}
    return fold(FORMAT.decode(msgspec.json.encode(body), CONTEXT))


def streamed(pieces: list[str], stop: str = "end_turn") -> Result:
    """Return the result of a stream that thinks and then says ``pieces``."""
    events = [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "usage": USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": THINKING},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": pieces[0]}},
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": piece}}
            for piece in pieces[1:]
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    decoder = FORMAT.decoder(CONTEXT)
    found: list[Event] = []
    for event in events:
        batch = decoder.feed(event["type"], msgspec.json.encode(event))
        found += batch.events() if batch is not None else []
    return fold(found + decoder.end())


@given(st.sampled_from(HEALED), st.lists(st.integers(0, 100), max_size=5))
def test_both_modes_give_the_json_wherever_the_stream_is_cut(case: tuple[str, Any], cuts: list[int]) -> None:
    text, value = case
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    found = texts(streamed([text[start:end] for start, end in pairwise(places)]))
    assert found == texts(complete([THINKING, {"type": "text", "text": text}]))
    assert json.loads("".join(found)) == value


def test_an_answer_that_was_cut_off_is_not_closed() -> None:
    assert texts(streamed(['Here: {"a"', ': "x'], "max_tokens")) == ['{"a": "x']


def test_words_before_a_call_are_kept_and_the_call_is_not_touched() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    result = complete([{"type": "text", "text": "I look {it} up."}, call], "tool_use")
    assert texts(result) == ["I look {it} up."]
    assert [part.arguments for part in result.choices[0].parts if isinstance(part, ToolCall)] == ['{"a":1}']


def test_text_in_two_parts_is_one_value() -> None:
    result = complete([{"type": "text", "text": 'So: {"a": '}, {"type": "text", "text": "1,} Done."}])
    assert json.loads("".join(texts(result))) == {"a": 1}


def test_the_end_of_a_part_waits_for_the_end_of_its_choice() -> None:
    """Only the reason says whether what is open may be closed."""
    events, ended, finished = JsonTextEvents(), PartEnded(choice=0, index=0), Finished(choice=0, reason="stop")
    events.rewrite([PartBegan(0, 0, Text(text='{"a":"x'))])
    assert events.rewrite([ended]) == []
    assert events.rewrite([finished]) == [PartDelta(choice=0, index=0, text='"}'), ended, finished]


@pytest.mark.parametrize(("model", "is_in_words"), [("claude-3-7-sonnet", True), ("claude-sonnet-4.5", False)])
def test_the_text_is_rewritten_only_where_it_was_asked_for_in_words(model: str, is_in_words: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    request = GenerationRequest(
        messages=[Message(role="user", parts=[Text(text="hi")])],
        output=OutputFormat(kind="json_schema", schema=msgspec.Raw(msgspec.json.encode(schema))),
        reasoning=ReasoningOptions(max_tokens=1024),
        max_tokens=4000,
    )
    made = FORMAT.encode(request, endpoint_for("anthropic_messages", "anthropic", model), "gen-1")
    assert made.context.json_text is is_in_words
