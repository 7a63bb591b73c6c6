"""Test what holds for every answer that a provider may send, however odd its fields and its framing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from pydantic import BaseModel

from router_service.api.skins.chat.render import render_response
from router_service.api.skins.chat.stream import ChatStreamRenderer
from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Failed, Result
from router_service.providers.wire_format import DecodeContext
from router_service.upstream.framing.sse import EventParser
from tests.router_service.api.skins.chat.answers import HEAD, USAGE, chunks_of
from tests.router_service.providers.formats.openai_chat.answer_strategies import (
    ANSWERS,
    ERRORS,
    FRAMES,
    JUNK,
    DrawnAnswer,
)
from tests.router_service.providers.formats.openai_chat.wire import FORMAT, folded, plain_parts, text_of

CONTEXT = DecodeContext(generation_id="gen-1", origin="openai_chat/acme/one")
TAGGED = DecodeContext(generation_id="gen-1", origin="openai_chat/acme/one", think_tags=True)
# The same examples in each run of the suite; the slow suite draws others each time.
EXAMPLES, MANY = 500, 12_500
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


def read(parts: Iterable[bytes], context: DecodeContext = CONTEXT) -> list[Event]:
    """Return the events of a stream that comes in ``parts``; a decoder may raise ``ApiError`` and nothing else."""
    decoder, parser = FORMAT.decoder(context), EventParser()
    events: list[Event] = []
    try:
        for name, data in (event for part in parts for event in parser.feed(part)):
            batch = decoder.feed(name, data)
            events += batch.events() if batch is not None else []
        events += decoder.end()
    except ApiError as error:
        events.append(Failed(error))
    return events


def shown(parts: Iterable[bytes], context: DecodeContext = CONTEXT) -> list[dict[str, Any]]:
    """Return the chunks that a client is sent of a stream, whose batches are read once."""
    decoder, parser, renderer = FORMAT.decoder(context), EventParser(), ChatStreamRenderer(HEAD)
    sent = b""
    try:
        for name, data in (event for part in parts for event in parser.feed(part)):
            batch = decoder.feed(name, data)
            sent += renderer.render(batch) if batch is not None else b""
        sent += renderer.feed(decoder.end())
    except ApiError as error:
        sent += renderer.fail(error)
    return chunks_of(sent)


def validate(model: type[BaseModel], body: dict[str, Any]) -> None:
    """Validate what a client is sent, without what the reference has and OpenAI lacks.

    These are the finish reason error and annotations that cite no page.
    """
    for choice in body["choices"]:
        if choice["finish_reason"] == "error":
            choice["finish_reason"] = "stop"
        without_others(choice.get("message") or {})
    model.model_validate(body)


def without_others(message: dict[str, Any]) -> dict[str, Any]:
    """Return ``message``, changed in place, with the annotations that OpenAI has."""
    if message.get("annotations"):
        message["annotations"] = [one for one in message["annotations"] if one["type"] == "url_citation"]
    return message


def check_stream(answer: DrawnAnswer, frame: str, cuts: list[int]) -> None:
    """Check that cuts change nothing, that no text is lost, and that SDKs can read what the client is sent."""
    stream = b"".join(frame.encode() % data for data in answer.events())
    whole = read([stream])
    places = sorted(cut % (len(stream) + 1) for cut in cuts)
    again = read(stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True))
    result = folded(whole)
    assert plain_parts(folded(again)) == plain_parts(result)
    assert folded(again).usage == result.usage
    assert sum(isinstance(event, Ended | Failed) for event in whole) == 1
    assert (text_of(result) if result.choices else "") == answer.text
    said = ""
    for chunk in shown([stream]):
        validate(ChatCompletionChunk, chunk)
        said += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    assert said == answer.text


def check_response(answer: DrawnAnswer) -> None:
    """Check that no text of a response is lost, and that SDKs can read what the client is sent."""
    batches = FORMAT.decode_batches(answer.body(), CONTEXT)
    for choice in (choice for batch in batches for choice in batch.spliced):
        ChatCompletionMessage.model_validate(without_others(json.loads(bytes(choice.delta))))
        assert (json.loads(bytes(choice.delta))["content"] or "") == answer.text
    result = folded(event for batch in batches for event in batch.events())
    assert (text_of(result) if result.choices else "") == answer.text
    check_completion(result)


def check_completion(result: Result) -> None:
    """Check that the openai SDK can read a completion."""
    if result.error is None:
        body = render_response(result, HEAD, USAGE)
        validate(ChatCompletion, msgspec.json.decode(msgspec.json.encode(body)))


def check_junk(value: Any, others: DrawnAnswer, cut: int) -> None:
    """Check that a value instead of an answer, or within one, ends it with an ``ApiError`` or not at all."""
    data = json.dumps(value).encode()
    for context in (CONTEXT, TAGGED):
        try:
            check_completion(folded(FORMAT.decode(data, context)))
        except ApiError as error:
            assert error.message
        events = others.events()
        events.insert(cut % len(events), data)
        parts = [b"data: " + event + b"\n\n" for event in events]
        assert sum(isinstance(event, Ended | Failed) for event in read(parts, context)) == 1
        for chunk in shown(parts, context):
            validate(ChatCompletionChunk, chunk)


CUTS = st.lists(st.integers(0, 4000), max_size=5)


@settings(max_examples=2 * EXAMPLES, phases=PHASES, derandomize=True)
@given(ANSWERS, FRAMES, CUTS)
def test_no_odd_field_and_no_cut_costs_a_stream_its_text(answer: DrawnAnswer, frame: str, cuts: list[int]) -> None:
    check_stream(answer, frame, cuts)


@settings(max_examples=EXAMPLES, phases=PHASES, derandomize=True)
@given(ANSWERS)
def test_no_odd_field_costs_a_response_its_text(answer: DrawnAnswer) -> None:
    check_response(answer)


@settings(max_examples=EXAMPLES, phases=PHASES, derandomize=True)
@given(JUNK | st.sampled_from(ERRORS), ANSWERS, st.integers(0, 20))
def test_what_is_no_answer_fails_with_an_error_of_the_contract(value: Any, others: DrawnAnswer, cut: int) -> None:
    check_junk(value, others, cut)


@pytest.mark.slow
@settings(max_examples=2 * MANY, phases=PHASES)
@given(ANSWERS, FRAMES, CUTS)
def test_many_streams_keep_their_text(answer: DrawnAnswer, frame: str, cuts: list[int]) -> None:
    check_stream(answer, frame, cuts)


@pytest.mark.slow
@settings(max_examples=MANY, phases=PHASES)
@given(ANSWERS)
def test_many_responses_keep_their_text(answer: DrawnAnswer) -> None:
    check_response(answer)


@pytest.mark.slow
@settings(max_examples=MANY, phases=PHASES)
@given(JUNK | st.sampled_from(ERRORS), ANSWERS, st.integers(0, 20))
def test_much_that_is_no_answer_fails_with_an_error(value: Any, others: DrawnAnswer, cut: int) -> None:
    check_junk(value, others, cut)
