"""Bound what a JSON text consists of, before any decoder makes objects of it.

A decoder takes about 100 ns for each value and holds the interpreter's lock meanwhile, so a body of a few megabytes
could stop the event loop for seconds. Here the bytes outside strings are counted, in slices that take a few
milliseconds each. A decoder also uses the C stack for each level of nesting and fails at a depth that depends on its
caller. One fixed limit, checked once, keeps that failure away from all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from router_service.core.errors import ApiError
from router_service.core.json_place import field_begun_at, largest_field

MAX_NESTING = 200
# Lists and objects of one text together.
MAX_CONTAINERS = 50_000
# Fields of all objects of one text together.
MAX_MEMBERS = 100_000
# Values of all lists and objects together. The largest requests for embeddings have 300,000 tokens.
MAX_VALUES = 400_000
# A smaller text that is not nested cannot hold so much that its decoding is noticed.
SMALL_BYTES = 64 * 1024
SLICE_BYTES = 64 * 1024
# A quarter of a millisecond.
COUNTED_BYTES = 1024 * 1024
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{},:")
_NOT_BRACKETS = b",:"
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_OPENING = ord("[")


def check_structure(name: str, raw: bytes) -> int:
    """Return how many values ``raw`` has at most.

    Raises ``ApiError`` 400 beyond ``MAX_NESTING``, ``MAX_CONTAINERS``, ``MAX_MEMBERS`` and ``MAX_VALUES``. Whether
    ``raw`` is valid JSON is not looked at.
    """
    count = bytes.count if len(raw) <= SMALL_BYTES else _count
    opened = count(raw, b"[") + count(raw, b"{")
    if opened <= MAX_NESTING:
        if len(raw) <= SMALL_BYTES:
            return opened + len(raw) // 2
        # Those within strings count here too. Their number matters only if it is large.
        commas = _count(raw, b",")
        if commas + opened <= MAX_VALUES and _count(raw, b":") <= MAX_MEMBERS:
            return commas + opened + 1
    return _Scan(name).values_of(raw)


def _count(raw: bytes, mark: bytes) -> int:
    """Return how often ``raw`` has ``mark``. One call for megabytes would hold the interpreter's lock for long."""
    if len(raw) <= COUNTED_BYTES:
        return raw.count(mark)
    return sum(raw.count(mark, start, start + COUNTED_BYTES) for start in range(0, len(raw), COUNTED_BYTES))


class _Scan:
    """Count what lies outside the strings of a text, slice by slice."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._containers = self._members = self._values = self._depth = 0
        self._in_string = False

    def values_of(self, raw: bytes) -> int:
        self._raw = raw
        # Where a slice has begun in no value but the outermost, and the brackets of slices since then.
        self._outside = 0
        self._inside: list[tuple[int, bytes]] = []
        start, size = 0, len(raw)
        while start < size:
            if self._depth <= 1 and not self._in_string:
                self._outside = start
                self._inside.clear()
            end = start + SLICE_BYTES
            piece = raw[start:end]
            start = end
            if b"\\" in piece:
                if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
                    # What the last backslash escapes belongs to this slice.
                    piece += raw[end : end + 1]
                    start += 1
                # Backslashes are in strings alone. What is left of an odd number of them escapes a quote.
                piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
            parts = piece.split(b'"')
            outside = parts[self._in_string :: 2]
            if not len(parts) % 2:
                self._in_string = not self._in_string
            self._count(b" ".join(outside).translate(_ONE_KIND, _OTHERS))
        return self._values + 1

    def _count(self, marks: bytes) -> None:
        opened = marks.count(b"[")
        self._containers += opened
        self._members += marks.count(b":")
        self._values += marks.count(b",") + opened
        for limit, found, what in (
            (MAX_CONTAINERS, self._containers, "lists and objects"),
            (MAX_MEMBERS, self._members, "fields in all its objects"),
            (MAX_VALUES, self._values, "values"),
        ):
            if found > limit:
                message = f"{self._name} has more than {limit:,} {what}; send fewer{self._where()}"
                raise ApiError("invalid_request", message)
        brackets = marks.translate(None, _NOT_BRACKETS)
        if self._depth + opened > MAX_NESTING and max(_depths(self._depth, brackets)) > MAX_NESTING:
            message = f"{self._name} is nested more than {MAX_NESTING} levels deep; send a flatter structure"
            raise ApiError("invalid_request", message + self._where())
        if len(brackets) - opened >= self._depth - 1 > 0:
            # The value that was open at the beginning may have ended, and another one may have begun.
            self._inside.append((self._depth, brackets))
        self._depth += 2 * opened - len(brackets)

    def _where(self) -> str:
        field = largest_field(self._raw)
        if not field and all(min(_depths(*slice_)) > 1 for slice_ in self._inside):
            field = field_begun_at(self._raw, self._outside)
        return f" in {field}" if field else ""


def _depths(depth: int, brackets: bytes) -> Iterator[int]:
    return itertools.accumulate((1 if mark == _OPENING else -1 for mark in brackets), initial=depth)
