"""Checks what the decoder of streams passes on unchanged, what it fits, and what it survives."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from router_service.core.answer import LazyBatch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Failed, Finished, Metered, PartBegan, PartDelta
from router_service.core.usage import Usage
from router_service.providers.wire_format import DecodeContext
from router_service.upstream.framing.sse import EventParser
from tests.router_service.providers.formats.openai_chat.wire import (
    CASES,
    CONTEXT,
    FORMAT,
    calls_of,
    chunk,
    decoded,
    events_of_chunks,
    events_of_stream,
    folded,
    message,
    text_of,
)

ROLE = chunk({"role": "assistant", "content": ""})
END = chunk({}, "stop")


def _batches(*chunks: Any) -> list[Any]:
    decoder = FORMAT.decoder(CONTEXT)
    raws = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in chunks]
    return [decoder.feed(None, raw) for raw in raws]


class _Reader:
    """Adds up an answer as a client does: from verified deltas where there are any, else from events."""

    def __init__(self) -> None:
        self.texts: dict[tuple[int, str], str] = {}
        self.calls: dict[tuple[int, int], list[str]] = {}
        self.reasons: dict[int, str] = {}
        self.usage: Usage | None = None
        self.error: str | None = None
        self._parts: dict[tuple[int, int], tuple[Any, int]] = {}

    def read(self, batch: Any) -> None:
        for choice in batch.spliced:
            self._delta(choice.index, msgspec.json.decode(choice.delta))
            if choice.finish_reason:
                self.reasons[choice.index] = choice.finish_reason
        if batch.dialect is None:
            self.read_events(batch.events())

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        for name in ("content", "refusal"):
            if delta.get(name):
                self._say(index, name, delta[name])
        for call in delta.get("tool_calls") or ():
            said = call.get("function") or call["custom"]
            self._call(
                index, call["index"], call.get("id"), said.get("name"), said.get("arguments") or said.get("input")
            )

    def read_events(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case PartBegan():
                    kind = type(event.part).__name__
                    place = sum(1 for choice, _ in self.calls if choice == event.choice)
                    self._parts[event.choice, event.index] = kind, place
                    if kind == "ToolCall":
                        self._call(event.choice, place, event.part.call_id, event.part.name, event.part.arguments)
                case PartDelta():
                    kind, place = self._parts[event.choice, event.index]
                    if kind == "ToolCall":
                        self._call(event.choice, place, None, None, event.text)
                    elif kind in ("Text", "Refusal", "Reasoning"):
                        names = {"Text": "content", "Refusal": "refusal", "Reasoning": "reasoning"}
                        self._say(event.choice, names[kind], event.text)
                case Finished():
                    self.reasons[event.choice] = event.reason
                case Metered():
                    self.usage = event.usage
                case Failed():
                    self.error = event.error.message

    def _say(self, index: int, name: str, text: str) -> None:
        self.texts[index, name] = self.texts.get((index, name), "") + text

    def _call(self, index: int, position: int, *said: str | None) -> None:
        known = self.calls.setdefault((index, position), ["", "", ""])
        self.calls[index, position] = [old + (new or "") for old, new in zip(known, said, strict=True)]

    def total(self) -> Any:
        return self.texts, self.calls, self.reasons, self.usage, self.error


@pytest.mark.parametrize(
    "name", sorted(name for name, case in CASES.items() if case.stream and name != "finish_function_call")
)
def test_verified_deltas_say_what_the_events_say(name):
    """A reader of verified deltas and a reader of events get the same texts, calls, reasons, usage and error."""
    readers = _Reader(), _Reader()
    for reader, by_events in zip(readers, (False, True), strict=True):
        decoder, parser = FORMAT.decoder(CONTEXT), EventParser()
        try:
            for event, data in parser.feed(CASES[name].stream) + parser.finish():
                batch = decoder.feed(event, data)
                if batch is not None:
                    reader.read_events(batch.events()) if by_events else reader.read(batch)
        except ApiError as error:
            reader.error = error.message
        reader.read_events(decoder.end())
    assert readers[0].total() == readers[1].total()


@pytest.mark.parametrize(
    "delta",
    [
        '{"content":" morning"}',
        '{"content":" Ça 你好 🚢","refusal":null}',
        '{ "content" : "spaced" }',
        '{"refusal":"no"}',
        '{"annotations":[{"type":"url_citation","url_citation":{"url":"https://example.com"}}]}',
        '{"images":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}',
        '{"audio":{"data":"UklGRg=="}}',
        "{}",
    ],
)
def test_plain_deltas_keep_their_bytes(delta):
    """A delta of known keys and types is passed on byte for byte."""
    raw = f'{{"id":"c","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]}}'.encode()
    _, batch = _batches(ROLE, raw)
    assert isinstance(batch, LazyBatch) and batch.dialect == "openai_chat"
    assert bytes(batch.spliced[0].delta) == delta.encode()


@pytest.mark.parametrize(
    ("delta", "fitted"),
    [
        ({"content": "a", "vendor": {"x": [1]}}, {"content": "a", "vendor": {"x": [1]}}),
        ({"content": ["a", {"type": "text", "text": "b"}]}, {"content": "ab"}),
        ({"content": 3}, {"content": "3"}),
        ({"content": "a", "reasoning_content": None}, {"content": "a"}),
        ({"role": "", "content": "a"}, {"role": "assistant", "content": "a"}),
        ({"content": "a", "images": [{"url": "x"}]}, {"content": "a", "images": []}),
        ({"content": "a", "big": 10**30}, {"content": "a", "big": 10**30}),
        (None, {}),
        ({"vendor": 1}, {"vendor": 1}),
    ],
)
def test_other_deltas_are_fitted(delta, fitted):
    """A delta with an odd field is written anew, with known fields of known types."""
    _, batch = _batches(ROLE, chunk_json(delta))
    assert batch.dialect == "openai_chat"
    assert json.loads(bytes(batch.spliced[0].delta)) == fitted


def chunk_json(delta: Any) -> bytes:
    """Returns a chunk as JSON; the encoder of the router takes no integers of more than 64 bits."""
    return json.dumps(chunk(delta)).encode()


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_bytes_with_a_line_end_are_never_passed_on(newline):
    raw = b'{"choices":[{"index":0,"delta":{' + newline + b'"content":"a"' + newline + b"}}]}"
    _, batch = _batches(ROLE, raw)
    assert bytes(batch.spliced[0].delta) == b'{"content":"a"}'


def test_invalid_utf8_in_a_vendor_field_is_replaced():
    raw = b'{"choices":[{"index":0,"delta":{"content":"a","vendor":"\xff"}}]}'
    _, batch = _batches(ROLE, raw)
    assert msgspec.json.decode(batch.spliced[0].delta) == {"content": "a", "vendor": "\ufffd"}


def test_a_batch_has_content_from_the_first_token_on():
    """A role is no content, and neither is an end without any."""
    batches = _batches(ROLE, chunk({"content": "a"}), chunk({"content": ""}))
    assert [batch.has_content for batch in batches] == [False, True, True]
    assert [batch.has_content for batch in _batches(ROLE, END)] == [False, False]
    assert _batches(chunk({"reasoning": "a"}))[0].has_content


def test_reasoning_is_always_events_and_the_beginning_stands_beside_its_bytes():
    first, second, third = _batches(ROLE, chunk({"reasoning_content": "a"}), chunk({"content": "b"}))
    assert first.dialect == "openai_chat" and first.began == first.events()[0] == Began(upstream_id="c")
    assert second.dialect is None and second.spliced == []
    assert third.dialect == "openai_chat"


def test_an_unknown_index_means_the_open_choice_where_one_was_asked_for():
    chunks = [chunk({"content": "a"}), chunk({"content": "b"}, index=5), chunk({}, "stop", index=7)]
    stream = b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in chunks) + b"data: [DONE]\n\n"
    result = folded(events_of_stream(stream, context=DecodeContext(generation_id="gen-1")))
    assert [text_of(result), len(result.choices), result.error] == ["ab", 1, None]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"id": "a", "function": {"name": "f", "arguments": "1"}}, {"id": "", "function": {"arguments": "2"}}],
        [{"id": "a", "function": {"name": "f", "arguments": "1"}}, {"function": {"arguments": "2"}}],
        [{"id": "a", "function": {"name": "f", "arguments": "1"}}, {"id": "a", "function": {"arguments": "2"}}],
        [
            {"index": 0, "id": "a", "function": {"name": "f"}},
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "12"}},
        ],
        [
            {"index": 1, "id": "a", "function": {"name": "f", "arguments": "1"}},
            {"index": 1, "function": {"arguments": "2"}},
        ],
        [{"index": 0, "id": "a", "function": {"name": ""}}, {"index": 0, "function": {"name": "f", "arguments": "12"}}],
        [{"index": 0, "id": "a", "type": "function"}, {"index": 0, "function": {"name": "f", "arguments": "12"}}],
        [{"index": None, "id": "a", "function": {"name": "f", "arguments": 12}}],
        [{"index": "0", "id": "a", "type": 3, "function": {"name": "f", "arguments": "12"}}, {"index": 5, "id": None}],
    ],
)
def test_pieces_of_one_call_are_one_call(pieces):
    """Missing, odd and repeated indexes, ids and names do not split a call."""
    result = folded(events_of_chunks(ROLE, *(chunk({"tool_calls": [piece]}) for piece in pieces), END))
    assert calls_of(result) == [("a", "f", "12")]
    assert result.choices[0].finished.reason == "tool_calls"


@pytest.mark.parametrize(
    ("pieces", "ids"),
    [
        ([("a", 0), ("b", 0)], ["a", "b"]),
        ([("a", None), ("b", None)], ["a", "b"]),
        ([(None, None), (None, None)], ["call_gen-1_0_0", "call_gen-1_0_1"]),
        ([("a", 0), ("a", 1)], ["a", "call_gen-1_0_1"]),
        ([("", 0), ("", 1)], ["call_gen-1_0_0", "call_gen-1_0_1"]),
        ([(7, 0), ("b", 3)], ["7", "b"]),
    ],
)
def test_parallel_calls_have_an_id_each(pieces, ids):
    """Calls that share an index or an id, or have none, are told apart."""
    calls = [{"id": id, "index": index, "function": {"name": "f", "arguments": "{}"}} for id, index in pieces]
    streamed = folded(events_of_chunks(ROLE, *(chunk({"tool_calls": [call]}) for call in calls), END))
    together = folded(events_of_chunks(ROLE, chunk({"tool_calls": calls}), END))
    assert calls_of(streamed) == calls_of(together) == [(id, "f", "{}") for id in ids]
    assert [call[0] for call in calls_of(decoded(message({"tool_calls": calls})))] == ids


def test_custom_calls_with_undocumented_fields_are_kept():
    call = {"id": "a", "custom": {"name": "shell", "input": "ls", "vendor": 1}}
    streamed = folded(events_of_chunks(ROLE, chunk({"tool_calls": [call]}), END))
    for result in (streamed, decoded(message({"tool_calls": [call]}))):
        (part,) = result.choices[0].parts
        assert (part.kind, part.name, part.arguments) == ("custom", "shell", "ls")


def test_a_call_that_never_gets_a_name_is_kept():
    events = events_of_chunks(
        ROLE, chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "1"}}]}), END
    )
    assert calls_of(folded(events)) == [("a", "", "1")]


def test_text_after_a_call_is_a_part_of_its_own():
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    result = folded(
        events_of_chunks(chunk({"content": "x"}), chunk({"tool_calls": [call]}), chunk({"content": "y"}), END)
    )
    assert [type(part).__name__ for part in result.choices[0].parts] == ["Text", "ToolCall", "Text"]


MESSAGE = {"role": "assistant", "content": "At noon.", "refusal": None, "reasoning": None}


@pytest.mark.parametrize(
    "said",
    [MESSAGE, MESSAGE | {"role": None}, {"content": "At noon."}, {"role": None, "content": "At noon."}],
    ids=["complete", "role null", "content alone", "both"],
)
def test_a_message_has_all_fields_that_clients_read(said: dict[str, Any]) -> None:
    batches = FORMAT.decode_batches(msgspec.json.encode(message(said)), CONTEXT)
    (choice,) = batches[0].spliced
    assert msgspec.json.decode(choice.delta) == MESSAGE


def test_a_complete_message_keeps_its_bytes() -> None:
    raw = b'{"role": "assistant",  "refusal":null, "reasoning": null, "content":"\\u0041t noon."}'
    body = b'{"choices": [{"index": 0, "finish_reason": "stop", "message": %b}]}' % raw
    (choice,) = FORMAT.decode_batches(body, CONTEXT)[0].spliced
    assert bytes(choice.delta) == raw


def test_the_usage_of_a_choice_counts() -> None:
    """Moonshot reports it there."""
    body = message({"role": "assistant", "content": "At noon."})
    body["choices"][0]["usage"] = {"prompt_tokens": 7, "completion_tokens": 3}
    found = decoded(body).usage
    assert found is not None and (found.prompt_tokens, found.completion_tokens) == (7, 3)
