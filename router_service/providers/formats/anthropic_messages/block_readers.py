"""Turn the start, the deltas and the end of one content block into the events of one part."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from router_service.core.events import Event, PartBegan, PartDelta, PartEnded
from router_service.core.outgoing_json import outgoing_json
from router_service.core.parts import Citation, HostedUse, Opaque, Reasoning, Text, ToolCall
from router_service.core.readable_text import readable_text
from router_service.providers.custom_tools import custom_text
from router_service.providers.formats.anthropic_messages.dialect import reasoning_format_at
from router_service.providers.formats.anthropic_messages.errors import not_an_answer
from router_service.providers.formats.anthropic_messages.names import DIALECT
from router_service.providers.gathered_text import GatheredText, text_of

_RESULT = "_tool_result"
NextIndex = Callable[[], int]


class BlockReader(Protocol):
    """Read one block. Each method returns events in order."""

    def start(self, block: dict[str, Any]) -> list[Event]:
        """Read what comes with the start of the block."""

    def delta(self, kind: str, delta: dict[str, Any]) -> list[Event]:
        """Read a delta; one that is not for this kind of block says nothing."""

    def end(self) -> list[Event]:
        """Read the end of the block."""


class WrittenReader:
    """Read text or thinking. The part begins with its first content, so that an empty block makes none."""

    __slots__ = ("_field", "_index", "_next_index", "_part", "_signature")

    def __init__(self, part: Text | Reasoning, next_index: NextIndex) -> None:
        self._part = part
        self._next_index = next_index
        self._field = "text" if isinstance(part, Text) else "thinking"
        self._index: int | None = None
        self._signature = ""

    def start(self, block: dict[str, Any]) -> list[Event]:
        self._signature = text_of(block.get("signature"))
        found = self._write(text_of(block.get(self._field)))
        citations = block.get("citations")
        for citation in citations if isinstance(citations, list) else ():
            found += self._cite(citation)
        return found

    def delta(self, kind: str, delta: dict[str, Any]) -> list[Event]:
        if kind == f"{self._field}_delta":
            return self._write(text_of(delta.get(self._field)))
        if kind == "citations_delta":
            return self._cite(delta.get("citation"))
        if kind == "signature_delta":
            self._signature += text_of(delta.get("signature"))
        return []

    def end(self) -> list[Event]:
        signature = self._signature if isinstance(self._part, Reasoning) else ""
        found = self._begin() if signature else []
        if self._index is None:
            return found
        return [*found, PartEnded(choice=0, index=self._index, signature=signature or None)]

    def _begin(self) -> list[Event]:
        if self._index is not None:
            return []
        self._index = self._next_index()
        return [PartBegan(0, self._index, self._part)]

    def _write(self, text: str) -> list[Event]:
        if not text:
            return []
        found = self._begin()
        assert self._index is not None
        return [*found, PartDelta(choice=0, index=self._index, text=text)]

    def _cite(self, raw: Any) -> list[Event]:
        if not isinstance(raw, dict) or not isinstance(self._part, Text):
            return []
        citation = Citation(
            url=text_of(raw.get("url")) or None,
            title=text_of(raw.get("title")) or text_of(raw.get("document_title")) or None,
            cited_text=text_of(raw.get("cited_text")) or None,
            dialect=DIALECT,
            raw=raw_json(raw),
        )
        found = self._begin()
        assert self._index is not None
        return [*found, PartDelta(choice=0, index=self._index, citation=citation)]


class RedactedReader:
    """Read thinking that only the vendor can read."""

    def __init__(self, origin: str, next_index: NextIndex) -> None:
        self._origin = origin
        self._next_index = next_index
        self._index: int | None = None

    def start(self, block: dict[str, Any]) -> list[Event]:
        data = text_of(block.get("data"))
        if not data:
            return []
        self._index = self._next_index()
        part = Reasoning(encrypted=data, format=reasoning_format_at(self._origin), origin=self._origin)
        return [PartBegan(0, self._index, part)]

    def delta(self, kind: str, delta: dict[str, Any]) -> list[Event]:  # noqa: ARG002 - the block has no deltas
        return []

    def end(self) -> list[Event]:
        return [] if self._index is None else [PartEnded(choice=0, index=self._index)]


class ArgumentsReader:
    """Read the input of a tool as deltas of ``part``: a call, or the text that a forced tool stands for.

    An input in the start counts if no delta brings another. With ``custom`` the text is the one argument of the
    function that stands for a custom tool; it can be read from complete JSON alone.
    """

    def __init__(self, part: ToolCall | Text, next_index: NextIndex, *, custom: bool = False) -> None:
        self._part = part
        self._index = next_index()
        self._started = ""
        self._gathered = GatheredText(not_an_answer) if custom else None
        self._streamed = False

    def start(self, block: dict[str, Any]) -> list[Event]:
        self._started = input_text(block.get("input"))
        return [PartBegan(0, self._index, self._part)]

    def delta(self, kind: str, delta: dict[str, Any]) -> list[Event]:
        text = text_of(delta.get("partial_json")) if kind == "input_json_delta" else ""
        if not text:
            return []
        self._streamed = True
        if self._gathered is not None:
            self._gathered.add(text)
            return []
        return [PartDelta(choice=0, index=self._index, text=text)]

    def end(self) -> list[Event]:
        found: list[Event] = []
        if self._gathered is not None:
            text = custom_text(self._gathered.text() or self._started)
        else:
            text = "" if self._streamed else self._started
        if text:
            found.append(PartDelta(choice=0, index=self._index, text=text))
        return [*found, PartEnded(choice=0, index=self._index)]


class OpaqueReader:
    """Read a block that only this dialect has. The part holds the complete block, so it begins at its end."""

    def __init__(self, origin: str, next_index: NextIndex) -> None:
        self._origin = origin
        self._next_index = next_index
        self._block: dict[str, Any] = {}
        self._input = GatheredText(not_an_answer)
        self._fields: dict[str, GatheredText] = {}

    def start(self, block: dict[str, Any]) -> list[Event]:
        self._block = dict(block)
        return []

    def delta(self, kind: str, delta: dict[str, Any]) -> list[Event]:
        """Add to the field of the block that the delta names, as all documented deltas do."""
        if kind == "input_json_delta":
            self._input.add(text_of(delta.get("partial_json")))
            return []
        for name, value in delta.items():
            if name == "type":
                continue
            known = self._block.get(name)
            if isinstance(value, str) and isinstance(known, str | None):
                self._fields.setdefault(name, GatheredText(not_an_answer)).add(value)
            else:
                self._block[name] = value
        return []

    def end(self) -> list[Event]:
        for name, pieces in self._fields.items():
            self._block[name] = text_of(self._block.get(name)) + pieces.text()
        with contextlib.suppress(msgspec.DecodeError, RecursionError, ValueError):
            self._block["input"] = msgspec.json.decode(self._input.text(), type=dict[str, Any])
        index, text = self._next_index(), readable_text(self._block)
        hosted = _hosted_use(self._block, text)
        part = Opaque(dialect=DIALECT, raw=raw_json(self._block), text=text, origin=self._origin, hosted=hosted)
        return [PartBegan(0, index, part), PartEnded(choice=0, index=index)]


def _hosted_use(block: dict[str, Any], text: str | None) -> HostedUse | None:
    kind = block["type"]
    if kind in ("server_tool_use", "mcp_tool_use"):
        arguments = outgoing_json(block.get("input") or {}).decode()
        return HostedUse(text_of(block.get("name")), arguments=arguments, call_id=text_of(block.get("id")) or None)
    if kind.endswith(_RESULT):
        call_id = text_of(block.get("tool_use_id")) or None
        return HostedUse(kind.removesuffix(_RESULT), result=text or "", call_id=call_id)
    return None


def input_text(value: Any) -> str:
    """Return the input of a tool as JSON text. Some imitators send that text itself, or nothing."""
    if isinstance(value, str) and value.strip():
        return value
    return bytes(raw_json(value)).decode() if isinstance(value, dict) else "{}"


def raw_json(value: Any) -> msgspec.Raw:
    """Return ``value`` as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))
