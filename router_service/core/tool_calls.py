"""Collect the tool calls of one response, from a complete message or from the deltas of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

# Larger responses are passed on to the client unchanged and are not judged.
MAX_ARGUMENT_BYTES = 64 * 1024
MAX_CALLS = 128


ToolCallFault = Literal["invalid_json", "unknown_name", "schema_mismatch"]


class ToolCallVerdict(NamedTuple):
    """State whether the tool calls of a response are well-formed.

    ``fault`` is that of the first malformed call, or ``None``.
    """

    call_count: int
    fault: ToolCallFault | None


class _FunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _CallDelta(msgspec.Struct):
    function: _FunctionDelta | None = None
    index: int | None = None
    id: str | None = None


class _MessageDelta(msgspec.Struct):
    tool_calls: list[_CallDelta] | None = None


class CollectedCall(msgspec.Struct):
    """Hold one call: ``arguments`` as the model wrote them. ``not_text`` is true if they were not a JSON string."""

    name: str = ""
    arguments: str = ""
    not_text: bool = False


class ToolCallCollector:
    """Collect calls until a bound is exceeded or the format is unknown; ``judgeable`` is false from then on."""

    __slots__ = ("_calls", "_last", "_parts", "_size", "call_count", "judgeable")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], CollectedCall] = {}
        self._last: dict[int, int] = {}
        self._parts: dict[tuple[int, int], int] = {}
        self._size = 0
        self.call_count = 0
        self.judgeable = True

    def __iter__(self) -> Iterator[CollectedCall]:
        return iter(self._calls.values())

    def add(self, choice: int, message: msgspec.Raw | dict[str, Any], *, complete: bool = False) -> None:
        """Add a delta of a stream or, with ``complete``, the message of a response, for choice number ``choice``."""
        if isinstance(message, msgspec.Raw):
            if b'"tool_calls"' not in bytes(message):
                return
        elif "tool_calls" not in message:
            return
        try:
            found = (
                msgspec.json.decode(message, type=_MessageDelta)
                if isinstance(message, msgspec.Raw)
                else _convert(message)
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.judgeable = False
            return
        for position, call in enumerate(found.tool_calls or ()):
            index = position if complete else self._index(choice, call)
            self._add(choice, index, call.function)

    def begin(self, choice: int, part: int, name: str, arguments: str) -> None:
        """Add a call that begins as a part of its choice; other calls of the choice may come as deltas."""
        index = self._last[choice] = self._last.get(choice, -1) + 1
        self._parts[choice, part] = index
        known = self._call(choice, index)
        if known is not None:
            known.name += name
            self._write(known, arguments)

    def extend(self, choice: int, part: int, arguments: str) -> None:
        """Add to the arguments of a call that ``begin`` has added; any other part is passed over."""
        index = self._parts.get((choice, part))
        known = None if index is None else self._calls.get((choice, index))
        if known is not None:
            self._write(known, arguments)

    def _add(self, choice: int, index: int, function: _FunctionDelta | None) -> None:
        known = self._call(choice, index)
        if known is None or function is None:
            return
        known.name += function.name or ""
        if isinstance(function.arguments, str):
            self._write(known, function.arguments)
        elif function.arguments is not None:
            known.not_text = True

    def _call(self, choice: int, index: int) -> CollectedCall | None:
        """Return the call, which may begin with this; ``None`` once there are too many to judge."""
        known = self._calls.get((choice, index))
        if known is None:
            self.call_count += 1
            if self.call_count > MAX_CALLS:
                self.judgeable = False
                return None
            known = self._calls[choice, index] = CollectedCall()
        return known if self.judgeable else None

    def _write(self, call: CollectedCall, arguments: str) -> None:
        self._size += len(arguments)
        if self._size > MAX_ARGUMENT_BYTES:
            self.judgeable = False
        elif self.judgeable:
            call.arguments += arguments

    def _index(self, choice: int, call: _CallDelta) -> int:
        """Return the call's index; without one a new id begins a new call, and the rest belongs to the last call."""
        last = self._last.get(choice, -1)
        if call.index is not None:
            index = call.index
        elif call.id is not None or last < 0:
            index = last + 1
        else:
            index = last
        self._last[choice] = max(last, index)
        return index


def _convert(message: dict[str, Any]) -> _MessageDelta:
    return msgspec.convert(message, _MessageDelta)
