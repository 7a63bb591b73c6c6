"""Test that large bodies are read and written in pieces, with the same result as at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest

from router_service.api.skins.chat.turns import read_messages
from router_service.core.errors import ApiError
from router_service.core.json_fields import DECODED_BYTES, check_encoding
from router_service.core.json_structure import COUNTED_BYTES, check_structure
from router_service.core.large_bodies import LARGE_BODY_BYTES, is_large_work, translate
from router_service.core.large_copies import PIECE, copied, joined
from router_service.core.large_json import contains, encode_json
from router_service.core.large_text import LONG, decode_text

T = TypeVar("T")
TEXT = 'naïve "quoted"\n\\ 😀 ' * (PIECE // 8)


def in_thread(work: Callable[[], T]) -> T:
    """Do the work as for a large body."""
    return asyncio.run(translate(LARGE_BODY_BYTES, work))


def test_large_work_has_a_thread_of_its_own() -> None:
    assert in_thread(lambda: (is_large_work(), threading.current_thread() is threading.main_thread())) == (True, False)
    assert not is_large_work()
    assert asyncio.run(translate(LARGE_BODY_BYTES - 1, threading.current_thread)) is threading.main_thread()


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        {"messages": [{"role": "user", "content": TEXT}, {}], "n": 1, "é\n": [], "x": None},
        {"messages": [{"role": "user", "content": "short"}] * 9000, "tools": msgspec.Raw(b'[{"a":1}]')},
        {"a": [[TEXT, 1.5, True], (1, "two"), {"b": {"c": [TEXT]}}], "raw": msgspec.Raw(b'"' + b"a" * PIECE + b'"')},
        {"by number": {1: TEXT}, "list": list(range(50_000))},
        [],
        "short",
        {"emptied": [{}, [], ""]},
    ],
)
def test_json_in_pieces_is_the_same_json(value: Any) -> None:
    assert in_thread(lambda: encode_json(value)) == encode_json(value) == msgspec.json.encode(value)


@pytest.mark.parametrize("sizes", [[3 * PIECE + 1], [PIECE - 1, 2, PIECE], [7] * 100_000, [1, 2 * PIECE, 1], [], [5]])
def test_bytes_that_are_copied_in_pieces_are_the_same(sizes: list[int]) -> None:
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    whole = b"".join(pieces)
    assert joined(pieces) == copied(memoryview(whole)) == copied(msgspec.Raw(whole)) == whole


def test_a_long_list_of_parts_is_read_part_by_part_with_the_same_errors() -> None:
    parts: list[Any] = [{"type": "text", "text": TEXT[: PIECE // 2]}] * 12
    parts.append({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})
    raw = msgspec.json.encode([{"role": "user", "content": parts, "name": "me"}])
    assert len(raw) > LONG
    assert in_thread(lambda: read_messages(raw)) == read_messages(raw)
    for wrong in (5, {"type": "text"}, {"type": "x"}, {"type": "text", "text": 1}):
        sent = msgspec.json.encode([{"role": "user", "content": [*parts, wrong]}])
        with pytest.raises(ApiError) as at_once:
            read_messages(sent)
        with pytest.raises(ApiError) as in_pieces:
            in_thread(lambda sent=sent: read_messages(sent))  # type: ignore[misc]
        assert in_pieces.value.message == at_once.value.message and "content[13]" in at_once.value.message


def test_messages_are_read_one_by_one_with_the_same_errors() -> None:
    turns = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, {"role": "assistant", "content": TEXT}]
    raw = msgspec.json.encode(turns)
    assert in_thread(lambda: read_messages(raw)) == read_messages(raw)
    for wrong in ([*turns, {"role": "user", "content": 5}], [*turns, {"role": "x"}], [*turns, 1], [], {}, "text"):
        sent = msgspec.json.encode(wrong)
        with pytest.raises(ApiError) as at_once:
            read_messages(sent)
        with pytest.raises(ApiError) as in_pieces:
            in_thread(lambda sent=sent: read_messages(sent))  # type: ignore[misc]
        assert in_pieces.value.message == at_once.value.message


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "é",
        "😀",
        "\\n",
        '\\"',
        "\\u00e9",
        "\\ud83d\\ude00",
        "x\\u0434\\\\\\\\y",
        "\\\\u0041",
        "\\\\\\u0041",
    ],
)
def test_a_long_text_in_pieces_is_the_same_text(unit: str) -> None:
    for shift in range(7):
        raw = ('"' + "b" * shift + unit * (LONG // len(unit)) + '"').encode()
        assert decode_text(memoryview(raw)) == msgspec.json.decode(raw)


def test_a_text_of_backslashes_is_decoded_at_once() -> None:
    assert decode_text(memoryview(b'"' + b"\\" * 2 * LONG + b'"')) is None
    assert decode_text(memoryview(b"[" + b" " * LONG + b"]")) is None


@pytest.mark.parametrize("wrong", [b"\\x", b"\\ud800", b"\n", b"\\u12"])
def test_a_long_text_that_is_not_valid_fails_as_at_once(wrong: bytes) -> None:
    raw = b'[{"role":"user","content":"' + b"a" * LONG + wrong + b'"}]'
    with pytest.raises(ApiError) as at_once:
        read_messages(raw)
    with pytest.raises(ApiError) as in_pieces:
        in_thread(lambda: read_messages(raw))
    assert in_pieces.value.message == at_once.value.message


@pytest.mark.parametrize("place", [0, 1, PIECE - 3, PIECE, 2 * PIECE - 1])
def test_a_word_is_found_across_pieces(place: int) -> None:
    raw = bytearray(b"a" * (3 * PIECE))
    raw[place : place + 4] = b"word"
    assert contains(bytes(raw), b"word")
    assert not contains(bytes(raw), b"words")
    assert not contains(bytes(raw[: place + 3]), b"word")


def test_what_is_not_utf_8_is_found_across_pieces() -> None:
    whole = ("é" * DECODED_BYTES).encode()
    check_encoding("it", b"a" + whole)
    for at in (DECODED_BYTES - 1, DECODED_BYTES, len(whole) - 1):
        raw = bytearray(whole)
        raw[at] = 0xFF
        with pytest.raises(UnicodeDecodeError) as found:
            raw.decode()
        with pytest.raises(ApiError, match=f"at byte {found.value.start};"):
            check_encoding("it", bytes(raw))


def test_marks_are_counted_across_pieces() -> None:
    raw = b"[" + b"1," * COUNTED_BYTES + b"1]"
    with pytest.raises(ApiError, match="values"):
        check_structure("it", raw)
    assert check_structure("it", b'["' + b"a" * 2 * COUNTED_BYTES + b'",1]') == 3
