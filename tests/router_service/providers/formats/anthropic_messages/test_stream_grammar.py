"""Streams keep the grammar of events, however they arrive and wherever they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.events import Ended, fold
from tests.router_service.providers.formats.anthropic_messages.messages_world import CONTEXT, FORMAT, events_of
from tests.router_service.providers.formats.decoded_streams import check_grammar
from tests.wire_cases import load_cases

STREAMED = [case for case in load_cases("anthropic_messages") if case.stream is not None]
STREAMS = {case.name: case.stream for case in STREAMED if case.stream is not None}
names = st.sampled_from(sorted(STREAMS))
# Fixtures whose two answers differ in content on purpose: another text, another spelling of the same JSON, or counts
# that the two modes report at different times.
DIFFERENT = {"thinking_excluded", "thinking_interleaved", "thinking_redacted", "tools_parallel", "tools_single"}
DIFFERENT |= {"usage_absent", "usage_negative"}


@given(names, st.data())
def test_a_stream_cut_at_any_byte_keeps_the_grammar(name: str, data: st.DataObject) -> None:
    """A part of a stream is an answer with one end, which is a success only if the stop reason had arrived."""
    stream = STREAMS[name]
    end = data.draw(st.integers(0, len(stream)))
    events = events_of([stream[:end]])
    outcome = check_grammar(events).result()
    if isinstance(events[-1], Ended):
        assert b'"stop_reason":"' in stream[:end]
        assert outcome.choices[0].finished is not None


@given(names, st.data())
def test_a_stream_without_some_of_its_events_keeps_the_grammar(name: str, data: st.DataObject) -> None:
    """Events may be lost, doubled or reordered."""
    separator = b"\r\n\r\n" if name == "stream_crlf" else b"\n\n"
    found = STREAMS[name].split(separator)
    picked = data.draw(st.lists(st.sampled_from(found), max_size=2 * len(found)))
    check_grammar(events_of([separator.join([*picked, b""])]))


@given(names, st.integers(1, 400))
def test_pieces_of_any_size_make_the_same_answer(name: str, size: int) -> None:
    """Cut a stream into reads in any way: nothing changes."""
    stream = STREAMS[name]
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    whole, cut = events_of([stream]), events_of(pieces)
    assert [type(event) for event in whole] == [type(event) for event in cut]
    one, other = fold(whole), fold(cut)
    assert (one.began, one.choices, one.usage, str(one.error)) == (
        other.began,
        other.choices,
        other.usage,
        str(other.error),
    )


@pytest.mark.parametrize(
    "name", [case.name for case in STREAMED if case.response is not None and case.name not in DIFFERENT]
)
def test_both_modes_make_the_same_answer(name: str) -> None:
    """The fold of a stream equals the fold of the non-streaming response with the same content."""
    case = next(case for case in STREAMED if case.name == name)
    assert case.response is not None
    assert fold(events_of([STREAMS[name]])) == fold(FORMAT.decode(case.response, CONTEXT))


@pytest.mark.parametrize("name", sorted(DIFFERENT))
def test_both_modes_make_parts_of_the_same_kinds(name: str) -> None:
    """The fixtures whose texts differ have the same parts, ids and ends in both modes."""
    case = next(case for case in STREAMED if case.name == name)
    assert case.response is not None
    one, other = fold(events_of([STREAMS[name]])), fold(FORMAT.decode(case.response, CONTEXT))
    assert [type(part) for part in one.choices[0].parts] == [type(part) for part in other.choices[0].parts]
    assert [part.signature for part in one.choices[0].parts] == [part.signature for part in other.choices[0].parts]
    assert one.choices[0].finished == other.choices[0].finished
