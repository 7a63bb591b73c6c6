"""Stream the rows of a CSV or JSON file with bounded memory, each with the line that it begins on.

A row that cannot be read is a fault at its line, and the rows after it are read all the same.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

import msgspec

CHUNK_BYTES = 1 << 16
# A row of LiteLLM may carry the whole conversation.
MAX_VALUE_BYTES = 16 << 20
MAX_LINE_CHARACTERS = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OUTSIDE = re.compile(rb'["{}\n]')
_INSIDE = re.compile(rb'["\\\n]')
_SEPARATORS = b" \t\r\n,[]"


class ImportInvalid(ValueError):
    """Say why a file as a whole cannot be imported."""


class SourceRow(NamedTuple):
    """Hold one row of a source file, or the ``fault`` that keeps it from being read."""

    line: int
    values: dict[str, Any]
    fault: str | None = None


def csv_rows(path: Path, required: frozenset[str]) -> Iterator[SourceRow]:
    """Yield the rows of a CSV file with a header.

    Raises ``ImportInvalid`` if the header lacks a ``required`` column.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(_bounded_lines(file))
        header = [name.strip() for name in next(reader, [])]
        lacking = sorted(required - set(header))
        if lacking:
            found = ", ".join(header)[:200] or "nothing"
            raise ImportInvalid(f"the header lacks the columns {', '.join(lacking)}; it has: {found}")
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield SourceRow(line, {}, f"the row is no CSV: {error}")
                continue
            if not fields:
                continue
            if len(fields) != len(header):
                yield SourceRow(line, {}, f"the row has {len(fields)} fields and the header has {len(header)}")
                continue
            yield SourceRow(line, dict(zip(header, fields, strict=True)))


def _bounded_lines(file: TextIO) -> Iterator[str]:
    """Yield lines; of a longer one than ``MAX_LINE_CHARACTERS`` only the beginning, which is a row of few fields."""
    while line := file.readline(MAX_LINE_CHARACTERS):
        rest = line
        while len(rest) == MAX_LINE_CHARACTERS and not rest.endswith("\n"):
            rest = file.readline(MAX_LINE_CHARACTERS)
            line = line[:100] + "\n"
        yield line


def json_rows(path: Path) -> Iterator[SourceRow]:
    """Yield the objects of a JSON array, of JSON Lines or of concatenated JSON objects.

    An object whose only content is ``data``, as both routers' APIs wrap it, stands for the objects in ``data``.
    """
    with path.open("rb") as file:
        for line, content in _ObjectSplitter().split(file):
            if content is None:
                yield SourceRow(line, {}, f"the object is larger than {MAX_VALUE_BYTES >> 20} MiB")
                continue
            try:
                values = msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield SourceRow(line, {}, f"the object is no JSON: {error}")
                continue
            yield from _unwrapped(line, values)


def _unwrapped(line: int, values: Any) -> Iterator[SourceRow]:
    wrapped = values.get("data") if isinstance(values, dict) else None
    rows = wrapped if isinstance(wrapped, list) else [wrapped if isinstance(wrapped, dict) else values]
    for row in rows:
        fault = None if isinstance(row, dict) else "the row is no JSON object"
        yield SourceRow(line, row if isinstance(row, dict) else {}, fault)


class _ObjectSplitter:
    """Split bytes into the objects that lie in no other, and the text between them that is no JSON.

    Each is a line and bytes, ``None`` for those that are too large.
    """

    def __init__(self) -> None:
        self._depth, self._line, self._begin_line = 0, 1, 1
        self._in_string = self._too_large = False
        # Bytes of the object, or of what lies between two objects.
        self._taken = bytearray()
        # None until the first object has ended: JSON Lines if no array holds it and it ended on its first line.
        self._one_a_line: bool | None = None

    def split(self, file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
        """Yield what a file holds, in its order."""
        chunk = file.read(CHUNK_BYTES).removeprefix(BYTE_ORDER_MARK)
        while chunk:
            place = 0
            while place < len(chunk):
                found = (_INSIDE if self._in_string else _OUTSIDE).search(chunk, place)
                end = found.end() if found else len(chunk)
                self._take(chunk[place:end])
                place = end
                if found is None:
                    continue
                mark = found[0]
                if mark == b"\\":
                    # The escaped byte may be the first of the next chunk.
                    self._take(chunk[place : place + 1] or file.read(1))
                    place += 1
                elif mark == b'"':
                    self._in_string = not self._in_string
                elif mark == b"\n":
                    yield from self._end_line()
                elif mark == b"{":
                    yield from self._open_object()
                elif self._depth:
                    yield from self._close_object()
            chunk = file.read(CHUNK_BYTES)
        yield from self._end(self._begin_line if self._depth else self._line)

    def _take(self, content: bytes) -> None:
        self._too_large = self._too_large or len(self._taken) + len(content) > MAX_VALUE_BYTES
        if not self._too_large:
            self._taken += content

    def _end_line(self) -> Iterator[tuple[int, bytes | None]]:
        self._line += 1
        if not self._depth:
            yield from self._end(self._line - 1)
        elif self._in_string or self._one_a_line:
            # JSON escapes line breaks in strings: the row is broken, and the next line begins another.
            yield from self._end(self._begin_line)

    def _open_object(self) -> Iterator[tuple[int, bytes | None]]:
        if not self._depth:
            if not self._too_large:
                del self._taken[-1]
            yield from self._end(self._line)
            self._taken += b"{"
            self._begin_line = self._line
        self._depth += 1

    def _close_object(self) -> Iterator[tuple[int, bytes | None]]:
        self._depth -= 1
        if not self._depth:
            if self._one_a_line is None:
                self._one_a_line = self._line == self._begin_line
            yield from self._end(self._begin_line)

    def _end(self, line: int) -> Iterator[tuple[int, bytes | None]]:
        """Yield what was taken, unless it is separators alone, and begin anew outside of all objects."""
        taken, too_large = bytes(self._taken), self._too_large
        if self._one_a_line is None and taken.lstrip()[:1] == b"[":
            self._one_a_line = False
        self._taken.clear()
        self._depth, self._in_string, self._too_large = 0, False, False
        if too_large or taken.strip(_SEPARATORS):
            yield line, None if too_large else taken
