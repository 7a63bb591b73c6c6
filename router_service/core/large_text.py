"""Decode a long text of a large body in many short calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from router_service.core.large_bodies import is_large_work
from router_service.core.large_copies import PIECE

T = TypeVar("T")
# A shorter text takes about a millisecond at once.
LONG = 4 * PIECE
# The longest escape has six bytes; so many before a place tell whether one goes on there.
LOOK_BACK = 6
# Backslashes in a row that are counted.
MOST_BACKSLASHES = 4096
QUOTE, BRACKET = ord('"'), ord("[")
_items = msgspec.json.Decoder(list[msgspec.Raw])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_PLACEHOLDER = msgspec.Raw(b'"-"')


def decode_with_long_text(
    raw: bytes | msgspec.Raw,
    field: str,
    decode: Callable[[bytes | msgspec.Raw], T],
    parts: msgspec.json.Decoder[Any] | None = None,
) -> T:
    """Return what ``decode`` makes of the object ``raw``, whose attribute ``field`` may be a long text.

    With ``parts``, which decodes one, it may be a long list of parts as well. Raises what ``decode`` raises.
    """
    if len(raw) <= LONG or not is_large_work():
        return decode(raw)
    try:
        fields = _fields.decode(raw)
        written = fields.get(field, _PLACEHOLDER)
        content: Any = None
        if len(written) > LONG:
            content = decode_text(memoryview(written))
            if content is None and parts is not None and memoryview(written)[0] == BRACKET:
                content = [parts.decode(part) for part in _items.decode(written)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        content = None
    if content is None:
        return decode(raw)
    found = decode(_encode({**fields, field: _PLACEHOLDER}))
    setattr(found, field, content)
    return found


def decode_text(raw: memoryview) -> str | None:
    """Return the text whose JSON is ``raw``; ``None`` for what is no text or has to be decoded at once.

    Raises as msgspec does for a text that is not valid.
    """
    if raw[0] != QUOTE:
        return None
    text = ""
    start, end = 1, len(raw) - 1
    while start < end:
        cut = _boundary(raw, min(start + PIECE, end)) if start + PIECE < end else end
        if cut <= start:
            return None
        # A text that nothing else refers to grows where it is. To join the pieces would be one call for all of it.
        text += _text.decode(b'"' + bytes(raw[start:cut]) + b'"')
        start = cut
    return text


def _boundary(raw: memoryview, place: int) -> int:
    """Return a place near ``place`` that is within no character and no escape, and between no pair; 0 for none."""
    # Pairs are two escapes: the first one is looked for as well.
    window = bytes(raw[place - LOOK_BACK : place])
    at = window.rfind(b"\\")
    if at < 0:
        while raw[place] & 0xC0 == 0x80:
            place -= 1
        return place
    at += place - LOOK_BACK
    before = bytes(raw[max(0, at + 1 - MOST_BACKSLASHES) : at + 1])
    run = len(before) - len(before.rstrip(b"\\"))
    if run == len(before):
        return 0
    if run % 2 == 0:
        # The last one is itself escaped, and nothing goes on.
        return at + 1
    if raw[at + 1] != ord("u"):
        return at + 2
    digits = bytes(raw[at + 2 : at + 4]).lower()
    return at if b"d8" <= digits <= b"db" else at + 6
