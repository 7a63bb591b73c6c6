"""Tests that a chunk which differs from an earlier one in its text alone means what it means by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_service.api.skins.chat.render import ResponseHead
from router_service.api.skins.chat.stream import ChatStreamRenderer
from router_service.core.answer import Batch, TextBatch
from router_service.core.events import Event, Finished, PartDelta, fold
from router_service.core.parts import Text
from router_service.providers.formats.openai_chat.decoder import ChatDecoder
from router_service.providers.wire_format import DecodeContext

HEAD = ResponseHead(id="gen-1-abc", created=1_700_000_000, model="acme/one", provider="Acme")
ODD_TEXTS = st.text() | st.sampled_from(['"content":"x"', "\\", "\u2028", "\r\n", "\x00", "é", "😀", "}]}", ""])


def chunk(delta: dict[str, Any], **choice: Any) -> bytes:
    return json.dumps({"id": "x", "choices": [{"index": 0, "delta": delta, **choice}], "usage": None}).encode()


def decode(chunks: list[bytes]) -> list[Batch]:
    decoder = ChatDecoder(DecodeContext("gen-1-abc", "openai_chat/acme/one"))
    found = [batch for data in chunks if (batch := decoder.feed(None, data)) is not None]
    return found


def events_of(chunks: list[bytes]) -> list[Event]:
    return [event for batch in decode([*chunks, b"[DONE]"]) for event in batch.events()]


def said(events: list[Event]) -> str:
    [part] = fold(events).choices[0].parts
    assert isinstance(part, Text)
    return part.text


@given(st.lists(ODD_TEXTS, min_size=1, max_size=8), st.booleans())
@settings(derandomize=True, max_examples=300)
def test_texts_arrive_in_events_and_in_chunks(texts: list[str], escaped: bool) -> None:
    """A text that JSON escapes, or that looks like JSON, is the same text as events and in the client's own chunks."""
    chunks = [
        json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=escaped).encode(
            errors="surrogatepass"
        )
        for text in ["a", "b", *texts]
    ]
    expected = "".join(["a", "b", *texts])
    end = chunk({}, finish_reason="stop")
    assert said(events_of([*chunks, end])) == expected
    renderer = ChatStreamRenderer(HEAD)
    lines = b"".join(renderer.render(batch) for batch in decode([*chunks, end])).split(b"\n\n")
    deltas = [json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"] for line in lines if line]
    assert "".join(delta.get("content") or "" for delta in deltas) == expected


def test_chunks_of_one_frame_are_rendered_as_without_it() -> None:
    """The frame saves work and changes no byte: its chunks equal those whose order of fields differs every time."""
    texts = ["one", 'tw"o', "three\n", "vier"]
    framed = [chunk({"content": text, "refusal": None}, logprobs=None) for text in texts]
    batches = decode([chunk({"role": "assistant", "content": "zero"}), *framed])
    assert [type(batch) is TextBatch for batch in batches] == [False, False, True, True, True]
    alone = [decode([chunk({"role": "assistant", "content": "zero"}), one])[1] for one in framed]
    assert not any(type(batch) is TextBatch for batch in alone)
    first, second = ChatStreamRenderer(HEAD), ChatStreamRenderer(HEAD)
    assert [first.render(batch) for batch in batches[1:]] == [second.render(batch) for batch in alone]
    assert [batch.spliced for batch in batches[1:]] == [batch.spliced for batch in alone]


@pytest.mark.parametrize(
    "odd",
    [
        b'{"choices":[{"index":0,"delta":{"content":7}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c","reasoning":"d"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c"},"finish_reason":"length"}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c","x":"d"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c"},"x":{"content":"d"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c\\ud83d"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c",\n"role":"assistant"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c\n"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"c"+"d"}}]}',
    ],
)
def test_a_chunk_outside_the_frame_is_read_by_itself(odd: bytes) -> None:
    """Read an odd chunk with and without a frame before it: both say the same."""
    plain = [b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % text for text in (b"a", b"b", b"c")]
    differing = [
        b'{"choices":[{"index":0,"delta":{"content":"%b"}%b}]}' % (t, b" " * n)
        for n, t in enumerate((b"a", b"b", b"c"))
    ]
    with_frame, without = [*plain, odd], [*differing, odd]

    def outcome(chunks: list[bytes]) -> str:
        try:
            return repr(events_of(chunks))
        except Exception as error:
            return repr(error)

    assert outcome(with_frame) == outcome(without)


def test_text_after_the_end_of_its_choice_is_dropped() -> None:
    plain = [chunk({"content": text}) for text in ("a", "b", "c")]
    events = events_of([*plain, chunk({}, finish_reason="stop"), chunk({"content": "late"})])
    assert said(events) == "abc"
    assert [type(event) for event in events if isinstance(event, PartDelta | Finished)][-1] is Finished


def test_random_padding_does_not_prevent_reading() -> None:
    """OpenAI pads its chunks so that their sizes say nothing: no two have one frame."""
    padded = [
        json.dumps({"choices": [{"index": 0, "delta": {"content": str(n)}}], "obfuscation": "x" * n}).encode()
        for n in range(1, 9)
    ]
    assert said(events_of([*padded, chunk({}, finish_reason="stop")])) == "12345678"
