"""Test that streams keep the grammar of events, however they arrive and wherever they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.events import Ended, fold
from tests.router_service.providers.formats.decoded_streams import check_grammar
from tests.router_service.providers.formats.openai_responses.responses_world import CONTEXT, FORMAT, events_of
from tests.wire_cases import load_cases

STREAMED = [case for case in load_cases("openai_responses") if case.stream is not None]
STREAMS = {case.name: case.stream for case in STREAMED if case.stream is not None}
names = st.sampled_from(sorted(STREAMS))
# A non-streaming response that has failed is an error in place of an answer.
FAILED = {"failed", "failed_rate_limit", "cancelled"}


@given(names, st.data())
def test_a_stream_cut_at_any_byte_keeps_the_grammar(name: str, data: st.DataObject) -> None:
    """A part of a stream is an answer with one end, which is a success only if the complete response had arrived."""
    stream = STREAMS[name]
    end = data.draw(st.integers(0, len(stream)))
    events = events_of([stream[:end]])
    outcome = check_grammar(events).result()
    if isinstance(events[-1], Ended):
        assert b'"type":"response.completed"' in stream[:end] or b'"type":"response.incomplete"' in stream[:end]
        assert outcome.choices[0].finished is not None


@given(names, st.data())
def test_a_stream_without_some_of_its_events_keeps_the_grammar(name: str, data: st.DataObject) -> None:
    """Events may be lost, doubled or reordered."""
    found = STREAMS[name].split(b"\n\n")
    picked = data.draw(st.lists(st.sampled_from(found), max_size=2 * len(found)))
    check_grammar(events_of([b"\n\n".join([*picked, b""])]))


@given(names, st.integers(1, 400))
def test_pieces_of_any_size_make_the_same_answer(name: str, size: int) -> None:
    """Cut a stream into reads in any way: nothing changes."""
    stream = STREAMS[name]
    whole, cut = events_of([stream]), events_of([stream[at : at + size] for at in range(0, len(stream), size)])
    assert [type(event) for event in whole] == [type(event) for event in cut]
    one, other = fold(whole), fold(cut)
    assert (one.began, one.choices, one.usage) == (other.began, other.choices, other.usage)
    assert str(one.error) == str(other.error)


@pytest.mark.parametrize(
    "name", [case.name for case in STREAMED if case.response is not None and case.name not in FAILED]
)
def test_both_modes_make_the_same_answer(name: str) -> None:
    """The fold of a stream equals the fold of the non-streaming response with the same content."""
    case = next(case for case in STREAMED if case.name == name)
    assert case.response is not None
    assert fold(events_of([STREAMS[name]])) == fold(FORMAT.decode(case.response, CONTEXT))


@given(st.sampled_from(sorted(case.name for case in STREAMED if case.response is not None)), st.data())
def test_any_events_before_the_complete_response_make_the_same_answer(name: str, data: st.DataObject) -> None:
    """Whatever of the events between the first and the last is lost, the complete response has all that they say."""
    if name in FAILED or name.startswith("stream_"):
        return
    case = next(case for case in STREAMED if case.name == name)
    assert case.response is not None
    first, *middle, last = [event for event in STREAMS[name].split(b"\n\n") if event]
    kept = [event for event in middle if data.draw(st.booleans())]
    found = fold(events_of([b"\n\n".join([first, *kept, last, b""])]))
    wanted = fold(FORMAT.decode(case.response, CONTEXT))
    assert found.choices[0].finished == wanted.choices[0].finished
    assert found.usage == wanted.usage and found.error is None
