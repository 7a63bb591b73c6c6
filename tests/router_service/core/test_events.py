"""Test the grammar of events and their fold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    Folding,
    GrammarError,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
    fold,
)
from router_service.core.parts import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage

BEGAN, ENDED = Began(upstream_id="u"), Ended()
STOP = Finished(choice=0, reason="stop", native="end_turn")


def opened(part: Text | ToolCall | Reasoning | Media | Refusal, index: int = 0, choice: int = 0) -> PartBegan:
    return PartBegan(choice, index, part)


def delta(text: str, index: int = 0, choice: int = 0) -> PartDelta:
    return PartDelta(choice=choice, index=index, text=text)


def closed(index: int = 0, choice: int = 0, signature: str | None = None) -> PartEnded:
    return PartEnded(choice=choice, index=index, signature=signature)


def test_parts_keep_their_order_and_what_interleaves_is_put_together() -> None:
    calls = [opened(ToolCall(call_id="a", name="f"), 1), opened(ToolCall(call_id="b", name="g"), 2)]
    arguments = [delta('{"x"', 1), delta("{}", 2), delta(":1}", 1)]
    events: list[Event] = [BEGAN, opened(Reasoning()), delta("so"), closed(signature="s"), *calls, *arguments]
    events += [closed(1), closed(2), Finished(choice=0, reason="tool_calls"), Metered(Usage(1, 2)), ENDED]
    result = fold(events)
    assert result.choices[0].parts == [
        Reasoning(text="so", signature="s"),
        ToolCall(call_id="a", name="f", arguments='{"x":1}'),
        ToolCall(call_id="b", name="g", arguments="{}"),
    ]
    assert (result.began.upstream_id, result.usage) == ("u", Usage(1, 2))


def test_a_part_begins_with_content_to_which_deltas_are_added() -> None:
    citation = Citation(url="https://a.example")
    events = [BEGAN, opened(Text(text="He")), delta("llo"), PartDelta(choice=0, index=0, citation=citation), closed()]
    assert fold([*events, STOP, ENDED]).choices[0].parts == [Text(text="Hello", citations=[citation])]


def test_an_event_is_not_changed_by_folding() -> None:
    began = opened(Text(text="He"))
    fold([BEGAN, began, delta("llo"), PartDelta(choice=0, index=0, citation=Citation()), closed(), STOP, ENDED])
    assert began.part == Text(text="He")


def test_audio_collects_data_and_transcript() -> None:
    pieces = [PartDelta(choice=0, index=0, data="QUJD"), PartDelta(choice=0, index=0, data="RA==", transcript="Hi")]
    result = fold([BEGAN, opened(Media(kind="audio")), *pieces, closed(), STOP, ENDED])
    assert result.choices[0].parts == [Media(kind="audio", data="QUJDRA==", transcript="Hi")]


def test_an_answer_may_fail_at_any_time() -> None:
    error = ApiError("provider_unavailable", "The engine died")
    assert fold([Failed(error)]).error is error
    assert fold([BEGAN, opened(Text()), delta("x"), Failed(error)]).choices[0].parts == [Text(text="x")]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [BEGAN],
        [BEGAN, ENDED],
        [BEGAN, BEGAN],
        [opened(Text())],
        [BEGAN, delta("x")],
        [BEGAN, opened(Text()), opened(Text())],
        [BEGAN, opened(Text()), closed(), opened(Text())],
        [BEGAN, opened(Text()), closed(), delta("x")],
        [BEGAN, opened(Text()), STOP],
        [BEGAN, STOP, STOP],
        [BEGAN, STOP, opened(Text())],
        [BEGAN, opened(Text(), choice=1), STOP, ENDED],
        [BEGAN, STOP, ENDED, ENDED],
        [BEGAN, STOP, ENDED, Failed(ApiError("server", "x"))],
        [BEGAN, opened(Refusal()), PartDelta(choice=0, index=0, citation=Citation())],
        [BEGAN, PartBegan(0, 0, Opaque(dialect="d", raw=b"{}")), delta("x")],  # type: ignore[arg-type]
    ],
)
def test_what_breaks_the_grammar_is_refused(events: list[Event]) -> None:
    with pytest.raises(GrammarError):
        fold(events)


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3)), max_size=12))
def test_choices_do_not_mix(pieces: list[tuple[int, str]]) -> None:
    folding = Folding()
    folding.add(BEGAN)
    for choice in range(3):
        folding.add(opened(Text(), choice=choice))
    for choice, text in pieces:
        folding.add(delta(text, choice=choice))
    for choice in range(3):
        folding.add(closed(choice=choice))
        folding.add(Finished(choice=choice, reason="stop"))
    folding.add(ENDED)
    found = [choice.parts[0] for choice in folding.result().choices]
    assert found == [Text(text="".join(text for at, text in pieces if at == choice)) for choice in range(3)]
