"""Test that a secret is removed from a stream wherever the provider cuts it, and that nothing else is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.translation import CONTENT_TYPES, STREAMS
from lab.bedrock_frames import event_frame
from router_service.core.answer import Batch, EventBatch
from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Event,
    Failed,
    Finished,
    PartBegan,
    PartDelta,
    PartEnded,
    PartProgressed,
    fold,
)
from router_service.core.parts import Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.providers.cut_secrets import TextRedactor
from router_service.providers.formats import FORMATS
from router_service.providers.redaction import MARK, REDACTED, SecretRedactor
from router_service.providers.stream_redaction import StreamRedactor
from router_service.providers.wire_format import DecodeContext
from router_service.upstream.framing.selection import stream_parser
from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES

SECRET = "sk-proj-0123456789/abcdefghij+XYZ"
REDACTOR = SecretRedactor([SECRET])
TEXTS = st.text(alphabet="sk-proj0/é\\ ", max_size=12)
# What may be left of a secret that is cut: fewer characters than make a text suspicious.
LEFT = [SECRET[:length] + REDACTED for length in range(MARK)]


def cut(text: str, size: int) -> list[str]:
    """Return ``text`` in pieces of ``size`` characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def is_redacted(text: str, before: str, after: str) -> bool:
    """Return whether ``text`` is what is left of a secret between two texts."""
    return text in [before + left + after for left in LEFT]


@given(st.lists(TEXTS, max_size=8))
@settings(derandomize=True, max_examples=300)
def test_a_text_without_a_secret_is_unchanged(pieces: list[str]) -> None:
    """It arrives in full, whatever was held back on the way."""
    redactor = TextRedactor(REDACTOR)
    assert "".join(map(redactor.feed, pieces)) + redactor.end() == "".join(pieces)


@given(TEXTS, TEXTS, st.lists(st.integers(1, 40), min_size=1))
@settings(derandomize=True, max_examples=300)
def test_a_secret_is_removed_wherever_it_is_cut(before: str, after: str, sizes: list[int]) -> None:
    text, pieces = before + SECRET + after, []
    for size in [*sizes, len(text) or 1]:
        pieces.append(text[:size])
        text = text[size:]
    redactor = TextRedactor(REDACTOR)
    assert is_redacted("".join(map(redactor.feed, pieces)) + redactor.end(), before, after)


@pytest.mark.parametrize(
    ("secrets", "text", "expected"),
    [
        (["xxxxxxxxxxxx"], "xxxxxxxxxxxxxxx", "[redacted]xxx"),
        (["abcdabcdabce"], "abcdabcdabcdabce.", "abcd[redacted]."),
        (["sk-one-11111", "pk-two-22222"], "sk-one-11111pk-two-22222", "[redacted][redacted]"),
        (["a/bcdefghijk"], "a\\/bcdefghijk a%2Fbcdefghijk", "[redacted] [redacted]"),
    ],
)
def test_several_and_repetitive_secrets(secrets: list[str], text: str, expected: str) -> None:
    for size in (1, 3, 10, 100):
        redactor = TextRedactor(SecretRedactor(secrets))
        found = "".join(map(redactor.feed, cut(text, size))) + redactor.end()
        assert not any(secret in found for secret in secrets) and found.endswith(expected[-4:])
    assert found == expected


def test_much_of_a_secret_does_not_pass_at_the_end() -> None:
    """An answer may be cut off within it. The first characters that many keys have in common are a text like others."""
    for beginning, expected in ((SECRET[:-1], "a [redacted]"), ("sk-proj-", "a sk-proj-")):
        redactor = TextRedactor(REDACTOR)
        assert redactor.feed("a " + beginning) + redactor.end() == expected


# --- all wire formats


def echoed(wire_format: str, kind: str, size: int) -> list[bytes]:
    """Return a stream of the benchmark's in which the texts of its chunks are pieces of a text with the secret."""
    pieces = cut(f"say {SECRET} now", size)
    if kind == "tool arguments":
        pieces = cut(json.dumps({"say": SECRET}), size)
    found = STREAMS[wire_format](kind)[: len(pieces) + 1]
    words = iter(pieces)
    return [_with_word(piece, next(words)) if number else piece for number, piece in enumerate(found)]


def _with_word(piece: bytes, word: str) -> bytes:
    if b"data: " not in piece:
        # A frame of Converse has a checksum: it is made anew.
        kind = "toolUse" if b"toolUse" in piece else "reasoningContent" if b"reasoningContent" in piece else ""
        delta: dict[str, Any] = {"input" if kind == "toolUse" else "text": word}
        return event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {kind: delta} if kind else delta})
    lines = piece.split(b"\n")
    place = next(place for place, line in enumerate(lines) if line.startswith(b"data: "))
    lines[place] = b"data: " + json.dumps(_replaced(json.loads(lines[place][6:]), word)).encode()
    return b"\n".join(lines)


def _replaced(value: Any, word: str) -> Any:
    """Return ``value`` with ``word`` in place of what the benchmark writes."""
    if isinstance(value, dict):
        return {name: _replaced(one, word) for name, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, word) for one in value]
    is_written = isinstance(value, str) and (
        value.startswith((" word", '{"field', ',"field')) or value in (': "the harbour', ' at Genoa"')
    )
    return word if is_written else value


def decoded(wire_format: str, pieces: list[bytes]) -> list[Batch]:
    """Return the batches of a stream that breaks off."""
    parser = stream_parser(CONTENT_TYPES.get(wire_format), DEFAULT_MAX_EVENT_BYTES)
    decoder = FORMATS[wire_format].decoder(DecodeContext(generation_id="gen-1", origin="x/y"))
    found = [decoder.feed(name, data) for piece in pieces for name, data in parser.feed(piece)]
    return [*(batch for batch in found if batch is not None), EventBatch(decoder.end())]


def said(batches: list[Batch]) -> str:
    """Return the texts and the arguments that ``batches`` say together."""
    events = [event for batch in batches for event in batch.events()]
    return "".join(event.text for event in events if isinstance(event, PartDelta))


@pytest.mark.parametrize("kind", ["text", "thinking", "tool arguments"])
@pytest.mark.parametrize("wire_format", STREAMS)
def test_every_wire_format(wire_format: str, kind: str) -> None:
    """The secret is in pieces of any size in the provider's stream, and in none of the events."""
    for size in (1, 3, 10, 80):
        pieces = echoed(wire_format, kind, size)
        redactor = StreamRedactor(REDACTOR)
        before = said(decoded(wire_format, pieces))
        if wire_format == "gemini" and kind == "tool arguments":
            # Each of its calls is complete. The parts of a secret that different calls have are not put together.
            assert len(before) > len(SECRET)
            continue
        assert before.endswith((f"say {SECRET} now", json.dumps({"say": SECRET})))
        batches = [one for batch in decoded(wire_format, pieces) for one in redactor.take([batch])]
        head, _, tail = before.partition(SECRET)
        assert is_redacted(said(batches), head, tail)


# --- deltas that are spliced


def chat(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    return json.dumps({"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}).encode()


def spliced(chunks: list[bytes], redactor: SecretRedactor = REDACTOR) -> list[dict[str, Any]]:
    """Return the choices of a stream that is spliced where it can be; those of events have their deltas."""
    decoder = FORMATS["openai_chat"].decoder(DecodeContext("gen-1", "x/y", choices=2))
    stream = StreamRedactor(redactor, "openai_chat")
    found: list[dict[str, Any]] = []
    for data in chunks:
        batch = decoder.feed(None, data)
        for one in stream.take([batch]) if batch is not None else ():
            if one.dialect is None:
                found += [{"event": event} for event in one.events()]
            found += [
                {"index": choice.index, "reason": choice.finish_reason, **msgspec.json.decode(choice.delta)}
                for choice in one.spliced
            ]
    return found


def content(found: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(choice.get("content") or "" for choice in found if choice.get("index") == index)


@pytest.mark.parametrize("size", [1, 3, 10, 80])
def test_spliced_content(size: int) -> None:
    """It is redacted whether the chunks have a frame or are padded at random."""
    pieces = cut(f"say {SECRET} now", size)
    framed = [chat({"content": piece}) for piece in pieces]
    padded = [
        chat({"content": piece, "refusal": None} if number % 2 else {"content": piece})
        for number, piece in enumerate(pieces)
    ]
    for chunks in (framed, padded):
        found = spliced([chat({"role": "assistant", "content": "I "}), *chunks, chat({}, "stop")])
        assert is_redacted(content(found), "I say ", " now")
        assert found[-1]["reason"] == "stop"


def arguments(found: list[dict[str, Any]], index: int) -> str:
    calls = [call for choice in found for call in choice.get("tool_calls") or () if call["index"] == index]
    return "".join(
        (call.get("function") or call.get("custom") or {}).get(field) or ""
        for call in calls
        for field in ("arguments", "input")
    )


@pytest.mark.parametrize("size", [1, 3, 10, 80])
def test_spliced_calls_by_turns(size: int) -> None:
    """Two calls, each with the secret, take turns with each other: each is a text of its own."""
    begun = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": ""}},
    ]
    chunks = [chat({"role": "assistant", "tool_calls": begun})]
    for piece in cut(f'{{"a":"{SECRET}"}}', size):
        chunks.append(chat({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
        chunks.append(chat({"tool_calls": [{"index": 1, "custom": {"input": piece}}]}))
    found = spliced([*chunks, chat({}, "tool_calls")])
    for index in (0, 1):
        assert is_redacted(arguments(found, index), '{"a":"', '"}')


@pytest.mark.parametrize("size", [1, 3, 10])
def test_choices_and_fields_by_turns(size: int) -> None:
    pieces = cut(SECRET, size)
    chunks = [chat({"role": "assistant", "content": ""}, index=index) for index in (0, 1)]
    for piece in pieces:
        chunks += [chat({"content": piece, "refusal": piece}, index=index) for index in (0, 1)]
    found = spliced([*chunks, chat({}, "stop", 0), chat({}, "stop", 1)])
    for index in (0, 1):
        assert is_redacted(content(found, index), "", "")
        assert is_redacted("".join(one.get("refusal") or "" for one in found if one["index"] == index), "", "")


def test_spliced_rests_come_before_the_end() -> None:
    """Pass on what is held back before the choice ends: in its last delta, or in one of its own before it."""
    opened = chat({"role": "assistant", "content": "a"})
    for chunks in (
        [chat({"content": " sk-proj"}), chat({}, "stop")],
        [chat({"content": " sk-pr"}), chat({"content": "oj"}, "stop")],
        [chat({"content": " sk-proj"}, "stop")],
    ):
        found = spliced([opened, *chunks])
        assert content(found) == "a sk-proj"
        assert [one["reason"] for one in found[:-1]] == [None] * (len(found) - 1) and found[-1]["reason"] == "stop"
    found = spliced([opened, chat({"content": " sk-proj"}), b"[DONE]"])
    assert content(found) == "a sk-proj" and isinstance(found[-1]["event"], Failed)


def test_reasoning_that_is_followed_by_spliced_content() -> None:
    """Nobody tells the redactor then that the part of the reasoning has ended."""
    chunks = [chat({"role": "assistant", "reasoning": "why sk-proj"}), chat({"content": "what"}), chat({}, "stop")]
    found = spliced(chunks)
    texts = [one["event"].text for one in found if isinstance(one.get("event"), PartDelta)]
    assert ("".join(texts), content(found)) == ("why sk-proj", "what")
    assert [one.get("content") for one in found][-2:] == ["what", None]


def test_probabilities_of_what_is_held_back_are_left_out() -> None:
    """They have the tokens."""
    chunk = {
        "index": 0,
        "delta": {"content": SECRET[:12]},
        "logprobs": {"content": [{"token": SECRET[:12], "logprob": -1.0}]},
    }
    found = StreamRedactor(REDACTOR, "openai_chat")
    decoder = FORMATS["openai_chat"].decoder(DecodeContext())
    batches = [
        decoder.feed(None, chat({"role": "assistant"})),
        decoder.feed(None, json.dumps({"choices": [chunk]}).encode()),
    ]
    (choice,) = [one for batch in batches if batch is not None for one in found.take([batch])][-1].spliced
    assert (bytes(choice.logprobs), msgspec.json.decode(choice.delta)) == (b"null", {"content": ""})  # type: ignore[arg-type]


# --- events


def taken(events: list[Event], size: int = 100) -> list[Event]:
    """Return ``events`` without secrets, ``size`` of them a batch."""
    redactor = StreamRedactor(REDACTOR)
    batches = [EventBatch(events[start : start + size]) for start in range(0, len(events), size)]
    return [event for batch in batches for one in redactor.take([batch]) for event in one.events()]


def part(made: Any, index: int, pieces: list[str], write: Callable[[int, str], PartDelta]) -> list[Event]:
    return [PartBegan(0, index, made), *(write(index, piece) for piece in pieces), PartEnded(choice=0, index=index)]


def text_delta(index: int, text: str) -> PartDelta:
    return PartDelta(choice=0, index=index, text=text)


def transcript_delta(index: int, text: str) -> PartDelta:
    return PartDelta(choice=0, index=index, transcript=text)


ENDED: list[Event] = [Finished(choice=0, reason="stop"), Failed(ApiError("server", "broken"))]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_secret_that_parts_of_one_kind_share(size: int) -> None:
    """A client adds the texts of one kind, whatever stands between them."""
    events: list[Event] = [Began()]
    for number, piece in enumerate(cut(SECRET, 4)):
        events += part(Text(), 2 * number, [piece], text_delta)
        events += part(Reasoning(), 2 * number + 1, [piece], text_delta)
    result = fold(taken([*events, *ENDED], size))
    for kind in (Text, Reasoning):
        found = "".join(one.text for one in result.choices[0].parts if isinstance(one, kind))
        assert SECRET[:16] not in found.replace(REDACTED, "") and found.startswith("sk-p")


@pytest.mark.parametrize("size", [1, 100])
def test_rests_of_parts_come_before_their_end(size: int) -> None:
    held = "a sk-proj"
    events: list[Event] = [
        Began(),
        *part(Text(text=held), 0, [], text_delta),
        *part(Refusal(), 1, [held], text_delta),
        *part(ToolCall(call_id="c", name="f", arguments=held), 2, ["-"], text_delta),
        *part(Media(kind="audio", transcript=held), 3, ["-", held], transcript_delta),
    ]
    first, second, call, audio = fold(taken([*events, *ENDED], size)).choices[0].parts
    assert isinstance(first, Text) and isinstance(second, Refusal) and isinstance(call, ToolCall)
    assert (first.text, second.text, call.arguments) == (held, held, held + "-")
    assert isinstance(audio, Media) and audio.transcript == f"{held}-{held}"


def test_an_open_part_of_a_stream_that_fails() -> None:
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Text()),
        text_delta(0, "a sk-proj"),
        Failed(ApiError("server", "broken")),
    ]
    (found,) = fold(taken(events, 1)).choices[0].parts
    assert isinstance(found, Text) and found.text == "a sk-proj"


def test_what_decoders_put_together() -> None:
    """A hosted call and a signature come whole, out of pieces that no one has looked at."""
    raw = json.dumps({"input": SECRET}).encode()
    opaque = Opaque(dialect="x", raw=raw, text=SECRET)  # type: ignore[arg-type]
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, opaque),
        PartEnded(choice=0, index=0, signature=f"s {SECRET}"),
        *ENDED,
    ]
    assert SECRET not in repr(taken(events))


@pytest.mark.parametrize("size", [1, 3, 10])
def test_what_a_hosted_tool_writes(size: int) -> None:
    """Its pieces are events of the dialect; the rest comes before the next step."""
    item = Opaque(dialect="openai_responses", raw=msgspec.Raw(b"{}"), item_id="ci_1")

    def wrote(piece: str) -> PartProgressed:
        return PartProgressed(0, item, "code.delta", {"delta": msgspec.Raw(json.dumps(piece).encode())})

    done = PartProgressed(0, item, "code.done", {})
    events: list[Event] = [Began(), *map(wrote, cut(f"x='{SECRET}' # sk-proj", size)), done, *ENDED]
    found = [event for event in taken(events, 1) if isinstance(event, PartProgressed)]
    assert found[-1] == done
    code = "".join(json.loads(bytes(event.fields["delta"])) for event in found[:-1])
    assert is_redacted(code, "x='", "' # sk-proj")
