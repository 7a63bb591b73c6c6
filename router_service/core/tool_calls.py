"""The tool calls of one answer, put together from a whole message or from the deltas of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

# Arguments beyond are passed on to the client as ever, and not judged.
MOST_BYTES = 64 * 1024
MOST_CALLS = 128


ToolCallFault = Literal["invalid_json", "unknown_name", "schema_mismatch"]


class ToolCallVerdict(NamedTuple):
    """Say whether the tool calls of an answer were well-formed: ``fault`` is that of the first malformed call."""

    number: int
    fault: ToolCallFault | None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    function: _Function | None = None
    index: int | None = None
    id: str | None = None


class _Delta(msgspec.Struct):
    tool_calls: list[_Call] | None = None


class ToolCall(msgspec.Struct):
    """``arguments`` as the model wrote them; ``foreign`` when they came as something else than text."""

    name: str = ""
    arguments: str = ""
    foreign: bool = False


class ToolCallCollector:
    """``judgeable`` is false once the bounds are passed or the format is not known: nothing more is kept then."""

    __slots__ = ("_calls", "_last", "_size", "judgeable", "number")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], ToolCall] = {}
        self._last: dict[int, int] = {}
        self._size = 0
        self.number = 0
        self.judgeable = True

    def __iter__(self) -> Iterator[ToolCall]:
        return iter(self._calls.values())

    def add(self, choice: int, said: msgspec.Raw | dict[str, Any], *, whole: bool = False) -> None:
        """Take in a delta of a stream or, ``whole``, the message of an answer, of choice number ``choice``."""
        if isinstance(said, msgspec.Raw):
            if b'"tool_calls"' not in bytes(said):
                return
        elif "tool_calls" not in said:
            return
        try:
            found = msgspec.json.decode(said, type=_Delta) if isinstance(said, msgspec.Raw) else _convert(said)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.judgeable = False
            return
        for position, call in enumerate(found.tool_calls or ()):
            index = position if whole else self._index(choice, call)
            self._add(choice, index, call.function)

    def _add(self, choice: int, index: int, function: _Function | None) -> None:
        known = self._calls.get((choice, index))
        if known is None:
            self.number += 1
            if self.number > MOST_CALLS:
                self.judgeable = False
                return
            known = self._calls[choice, index] = ToolCall()
        if function is None or not self.judgeable:
            return
        known.name += function.name or ""
        if isinstance(function.arguments, str):
            self._size += len(function.arguments)
            if self._size > MOST_BYTES:
                self.judgeable = False
                return
            known.arguments += function.arguments
        elif function.arguments is not None:
            known.foreign = True

    def _index(self, choice: int, call: _Call) -> int:
        """Some servers leave the index out: a new id then begins a new call, and the rest belongs to the last."""
        last = self._last.get(choice, -1)
        if call.index is not None:
            index = call.index
        elif call.id is not None or last < 0:
            index = last + 1
        else:
            index = last
        self._last[choice] = max(last, index)
        return index


def _convert(said: dict[str, Any]) -> _Delta:
    return msgspec.convert(said, _Delta)
