"""Test that reasoning within tags is split from the text, wherever the pieces are cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.events import Result
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.openai_chat.wire import (
    FORMAT,
    chunk,
    folded,
    message,
    reasoning_of,
    text_of,
)

ONE = DecodeContext(generation_id="gen-1", think_tags=True)
TEXTS = [
    ("<think>why</think>because", "why", "because"),
    ("\n<think>\nwhy\n</think>\n\nbecause", "why\n", "because"),
    ("<think></think>because", "", "because"),
    ("<think>why", "why", ""),
    ("<think>a < b </ c </think>d", "a < b </ c ", "d"),
    ("because <think>why</think>", "", "because <think>why</think>"),
    ("<thin air", "", "<thin air"),
    ("<thi", "", "<thi"),
    ("<think>why</thi", "why</thi", ""),
    ("a</think>b", "", "a</think>b"),
    ("<think>why</think>  because <think>x</think>", "why", "because <think>x</think>"),
]


def streamed(pieces: list[str], context: DecodeContext = ONE) -> Result:
    """Return the result of a stream with these pieces of text."""
    decoder = FORMAT.decoder(context)
    events: list[Any] = []
    chunks = [chunk({"role": "assistant"}), *(chunk({"content": piece}) for piece in pieces), chunk({}, "stop")]
    for one in (*map(msgspec.json.encode, chunks), b"[DONE]"):
        batch = decoder.feed(None, one)
        events += batch.events() if batch is not None else []
    return folded(events + decoder.end())


@pytest.mark.parametrize(("said", "reasoning", "text"), TEXTS)
def test_tags_at_the_beginning_are_split_in_both_modes(said: str, reasoning: str, text: str) -> None:
    whole = folded(FORMAT.decode(msgspec.json.encode(message({"role": "assistant", "content": said})), ONE))
    for result in (whole, streamed([said]), streamed(list(said))):
        assert (reasoning_of(result), text_of(result)) == (reasoning, text)


@given(st.sampled_from(TEXTS), st.data())
def test_pieces_may_be_cut_anywhere(case: tuple[str, str, str], data: st.DataObject) -> None:
    said, reasoning, text = case
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=6)))
    pieces = [said[start:end] for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    result = streamed(pieces)
    assert (reasoning_of(result), text_of(result)) == (reasoning, text)


def test_a_dialect_without_tags_keeps_them_as_text() -> None:
    result = streamed(["<think>why</think>because"], DecodeContext())
    assert (reasoning_of(result), text_of(result)) == ("", "<think>why</think>because")


def test_a_text_that_is_not_json_fails_as_without_tags() -> None:
    decoder = FORMAT.decoder(ONE)
    failed = [
        event for data in (b"", b"null", b"[1]") if (batch := decoder.feed(None, data)) for event in batch.events()
    ]
    assert failed == []
    assert FORMAT.decoder(ONE).end()[-1].error.error_type == "provider_unavailable"  # type: ignore[union-attr]
