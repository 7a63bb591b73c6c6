"""Name the field of a JSON text that is too large, for the error that refuses the text."""

from __future__ import annotations

import re

import msgspec

# So many bytes are walked at most, and an object of so many members is decoded: either takes some milliseconds.
WALKED_BYTES = 8 * 1024
DECODED_MEMBERS = 20_000
COUNTED_BYTES = 1024 * 1024
MAX_NAMES = 3
SHOWN_CHARACTERS = 64
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}:,]', re.DOTALL)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def largest_field(raw: bytes, within: str = "") -> str:
    """Return the path of the field that most of ``raw`` belongs to, such as ``provider.only``, if that can be told.

    ``within`` is the name of the field whose value ``raw`` is.
    """
    names = [within] if within else []
    if not _has_few_members(raw):
        return within
    while len(names) < MAX_NAMES and raw[:64].lstrip().startswith(b"{"):
        try:
            fields = _object.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            break
        name = max(fields, key=lambda name: len(fields[name]), default="")
        if not fields or 2 * len(fields[name]) < len(raw):
            break
        names.append(name[:SHOWN_CHARACTERS])
        raw = bytes(fields[name])
    return ".".join(names)


def field_begun_at(raw: bytes, start: int) -> str:
    """Return the path of the field that begins soon after ``start``, which lies in no value but the outermost.

    It is that in which most has been opened where the walk ends. The first list of the path ends it.
    """
    opened: list[bytes | None] = []
    name: bytes | None = None
    last = b""
    for token in _TOKEN.finditer(raw, start, start + WALKED_BYTES):
        mark = token[0]
        if mark == b":":
            name = last
        elif mark in (b"{", b"["):
            opened.append(name)
            name = None
        elif mark in (b"}", b"]"):
            opened = opened[:-1]
        elif mark == b",":
            name = None
        last = mark
    names = opened[1:] if opened[:1] == [None] else opened
    end = names.index(None) if None in names else len(names)
    return ".".join(
        one.decode(errors="replace")[1:-1][:SHOWN_CHARACTERS] for one in names[: min(end, MAX_NAMES)] if one
    )


def _has_few_members(raw: bytes) -> bool:
    starts = range(0, len(raw), COUNTED_BYTES)
    return sum(raw.count(b":", start, start + COUNTED_BYTES) for start in starts) <= DECODED_MEMBERS
