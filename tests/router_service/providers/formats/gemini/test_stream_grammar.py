"""Test that streams keep the grammar of events, however they arrive and wherever they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.events import Ended, fold
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.decoded_streams import check_grammar
from tests.router_service.providers.formats.gemini.gemini_world import CONTEXT, FORMAT, SEARCHING, events_of
from tests.wire_cases import load_cases

STREAMED = [case for case in load_cases("gemini") if case.stream is not None]
STREAMS = {case.name: case.stream for case in STREAMED if case.stream is not None}
# These have no answer: a non-streaming response of theirs is an error in its place.
FAILED = {"blocked_prompt", "no_candidates"}
names = st.sampled_from(sorted(STREAMS))
contexts = st.sampled_from([CONTEXT, SEARCHING])


@given(names, st.data(), contexts)
def test_a_stream_cut_at_any_byte_keeps_the_grammar(name: str, data: st.DataObject, context: DecodeContext) -> None:
    """A part of a stream is an answer with one end, which is a success only if a reason had arrived."""
    stream = STREAMS[name]
    end = data.draw(st.integers(0, len(stream)))
    events = events_of([stream[:end]], context)
    outcome = check_grammar(events).result()
    if isinstance(events[-1], Ended):
        assert b'"finishReason":"' in stream[:end]
        assert outcome.choices[0].finished is not None


@given(names, st.data(), contexts)
def test_a_stream_without_some_of_its_chunks_keeps_the_grammar(
    name: str, data: st.DataObject, context: DecodeContext
) -> None:
    """Chunks may be lost, doubled or reordered."""
    found = STREAMS[name].replace(b"\r\n", b"\n").split(b"\n\n")
    picked = data.draw(st.lists(st.sampled_from(found), max_size=2 * len(found)))
    check_grammar(events_of([b"\n\n".join([*picked, b""])], context))


@given(names, st.integers(1, 400))
def test_pieces_of_any_size_make_the_same_answer(name: str, size: int) -> None:
    """Cut a stream into reads in any way: nothing changes."""
    stream = STREAMS[name]
    whole, cut = events_of([stream]), events_of([stream[at : at + size] for at in range(0, len(stream), size)])
    assert [type(event) for event in whole] == [type(event) for event in cut]
    one, other = fold(whole), fold(cut)
    assert (one.began, one.choices, one.usage) == (other.began, other.choices, other.usage)
    assert str(one.error) == str(other.error)


@pytest.mark.parametrize("context", [CONTEXT, SEARCHING], ids=["plain", "searching"])
@pytest.mark.parametrize(
    "name", [case.name for case in STREAMED if case.response is not None and case.name not in FAILED]
)
def test_both_modes_make_the_same_answer(name: str, context: DecodeContext) -> None:
    """The fold of a stream equals the fold of the non-streaming response with the same content."""
    case = next(case for case in STREAMED if case.name == name)
    assert case.response is not None
    assert fold(events_of([STREAMS[name]], context)) == fold(FORMAT.decode(case.response, context))
