"""Decode and encode the JSON of large bodies in many short calls.

Each call of the decoder or the encoder holds the interpreter's lock, so that the event loop waits for its end. Only the
thread for large bodies works in this way: for the usual request one call is the fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from router_service.core.large_bodies import is_large_work
from router_service.core.large_copies import PIECE, joined, piece_bounds

SCALAR_BYTES = 16
T = TypeVar("T")
_items = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def encode_json(value: Any) -> bytes:
    """Return ``value`` as JSON."""
    if not is_large_work():
        return _encode(value)
    pieces: list[bytes | memoryview] = []
    _write(value, pieces.append)
    return joined(pieces)


def decode_items(
    raw: bytes | msgspec.Raw,
    decode: Callable[[], list[T]],
    decode_item: Callable[[msgspec.Raw, int], T],
) -> list[T]:
    """Return the items of the JSON list ``raw``: by ``decode`` at once, or those of a large list one by one."""
    if not is_large_work():
        return decode()
    try:
        items = _items.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Its own decoder says what is wrong with it.
        return decode()
    return [decode_item(item, place) for place, item in enumerate(items)]


def contains(raw: bytes, word: bytes) -> bool:
    """Return whether ``word`` occurs in ``raw``."""
    if len(raw) <= PIECE:
        return word in raw
    return any(raw.find(word, start, end + len(word) - 1) >= 0 for start, end in piece_bounds(len(raw)))


def _write(value: Any, add: Callable[[bytes | memoryview], None]) -> None:
    kind = type(value)
    if kind is str and len(value) > PIECE:
        add(b'"')
        for start, end in piece_bounds(len(value)):
            add(memoryview(_encode(value[start:end]))[1:-1])
        add(b'"')
    elif kind is dict and not _is_small(value.values()) and all(type(name) is str for name in value):
        mark = b"{"
        for name, one in value.items():
            add(mark + _encode(name) + b":")
            _write(one, add)
            mark = b","
        add(b"}")
    elif kind is list and not _is_small(value):
        mark = b"["
        for one in value:
            add(mark)
            _write(one, add)
            mark = b","
        add(b"]")
    else:
        add(_encode(value))


def _is_small(values: Iterable[Any]) -> bool:
    """Return whether ``values`` have nothing within them and are encoded by one short call."""
    size = 0
    for value in values:
        kind = type(value)
        if kind is str or kind is msgspec.Raw:
            size += len(value)
        elif kind is dict or kind is list:
            return False
        size += SCALAR_BYTES
        if size > PIECE:
            return False
    return True
