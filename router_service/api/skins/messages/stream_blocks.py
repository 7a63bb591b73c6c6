"""Write one part of a streamed answer as the events of a content block.

A block opens with its first content, since a part may turn out to have none. Each writer says what
``answer_block`` says of the complete part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from router_service.api.skins.messages.answer_blocks import (
    citation_object,
    is_redacted,
    reasoning_token,
    standing_text,
    tool_block,
)
from router_service.api.skins.messages.arguments import ArgumentsWriter
from router_service.core.events import PartDelta, PartEnded
from router_service.core.outgoing_json import json_text, outgoing_json
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.wire.anthropic import DIALECT

TakeIndex = Callable[[], int]


def sse(name: str, data: str) -> str:
    """Return one server-sent event."""
    return f"event: {name}\ndata: {data}\n\n"


def json_line(value: Any) -> str:
    """Return ``value`` as JSON on one line."""
    return outgoing_json(value).decode()


class BlockWriter:
    """Write the block of one part. The base class writes the parts that are text in the end."""

    __slots__ = ("_index", "_part", "_take_index")

    def __init__(self, part: AnyPart, take_index: TakeIndex) -> None:
        self._part = part
        self._take_index = take_index
        self._index: int | None = None

    def begin(self) -> str:
        """Return the events for the content that the part began with."""
        return ""

    def add(self, delta: PartDelta) -> str:
        """Return the events for ``delta``."""
        if isinstance(self._part, Media):
            # Each addition copies the text before it, but a medium arrives in few pieces.
            self._part.data = (self._part.data or "") + delta.data if delta.data else self._part.data
            self._part.transcript = (self._part.transcript or "") + delta.transcript or self._part.transcript
        return ""

    def end(self, ended: PartEnded) -> str:  # noqa: ARG002 - writers of signed parts read it
        """Return the last events of the block."""
        return self._text(standing_text(self._part)) + self._close()

    def _open(self, block: dict[str, Any]) -> str:
        if self._index is not None:
            return ""
        self._index = self._take_index()
        data = {"type": "content_block_start", "index": self._index, "content_block": block}
        return sse("content_block_start", json_line(data))

    def _delta(self, kind: str, field: str, value: str) -> str:
        head = f'{{"type":"content_block_delta","index":{self._index},"delta":{{"type":"{kind}","{field}":'
        return sse("content_block_delta", f"{head}{value}}}}}")

    def _text(self, text: str) -> str:
        if not text:
            return ""
        return self._open({"type": "text", "text": ""}) + self._delta("text_delta", "text", json_text(text))

    def _close(self) -> str:
        if self._index is None:
            return ""
        return sse("content_block_stop", f'{{"type":"content_block_stop","index":{self._index}}}')


class TextWriter(BlockWriter):
    """Write text and its citations; a refusal is text."""

    __slots__ = ()
    _part: Text | Refusal

    def begin(self) -> str:
        citations = self._part.citations if isinstance(self._part, Text) else []
        return self._text(self._part.text) + "".join(map(self._citation, citations))

    def add(self, delta: PartDelta) -> str:
        found = self._text(delta.text)
        return found if delta.citation is None else found + self._citation(delta.citation)

    def end(self, ended: PartEnded) -> str:  # noqa: ARG002
        return self._close()

    def _citation(self, citation: Any) -> str:
        opened = self._open({"type": "text", "text": ""})
        return opened + self._delta("citations_delta", "citation", json_line(citation_object(citation)))


class ReasoningWriter(BlockWriter):
    """Write reasoning; its signature is the last delta, because it names the origin of the complete part."""

    __slots__ = ()
    _part: Reasoning

    def begin(self) -> str:
        return self._thinking(self._part.text)

    def add(self, delta: PartDelta) -> str:
        if delta.text and not self._part.text:
            # The beginning tells whether the part can be read; its deltas are not kept.
            self._part.text = delta.text
        return self._thinking(delta.text)

    def end(self, ended: PartEnded) -> str:
        part = self._part
        part.signature, part.item_id = ended.signature or part.signature, ended.item_id or part.item_id
        if is_redacted(part):
            return self._open({"type": "redacted_thinking", "data": reasoning_token(part)}) + self._close()
        if not part.text and part.signature is None and part.item_id is None:
            return ""
        opened = self._open(_EMPTY_THINKING)
        return opened + self._delta("signature_delta", "signature", json_text(reasoning_token(part))) + self._close()

    def _thinking(self, text: str) -> str:
        if not text:
            return ""
        return self._open(_EMPTY_THINKING) + self._delta("thinking_delta", "thinking", json_text(text))


class ToolWriter(BlockWriter):
    """Write a tool call, each member of its arguments once it is complete."""

    __slots__ = ("_arguments",)
    _part: ToolCall

    def begin(self) -> str:
        self._arguments = ArgumentsWriter()
        return self._open(tool_block(self._part)) + self._json(self._arguments.feed(self._part.arguments))

    def add(self, delta: PartDelta) -> str:
        return self._json(self._arguments.feed(delta.text))

    def end(self, ended: PartEnded) -> str:  # noqa: ARG002 - the id has been sent
        return self._json(self._arguments.finish()) + self._close()

    def _json(self, fragment: str) -> str:
        return self._delta("input_json_delta", "partial_json", json_text(fragment)) if fragment else ""


class NativeWriter(BlockWriter):
    """Write a block of Anthropic's own, its ``input`` as deltas, as Anthropic does."""

    __slots__ = ()
    _part: Opaque

    def begin(self) -> str:
        block = msgspec.json.decode(self._part.raw)
        given = block.get("input")
        if not isinstance(given, dict):
            return self._open(block)
        fragment = json_text(json_line(given))
        return self._open(block | {"input": {}}) + self._delta("input_json_delta", "partial_json", fragment)

    def end(self, ended: PartEnded) -> str:  # noqa: ARG002
        return self._close()


_EMPTY_THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def block_writer(part: AnyPart, take_index: TakeIndex) -> BlockWriter:
    """Return the writer for ``part``, of which it keeps a copy."""
    part = msgspec.structs.replace(part)
    match part:
        case Text() | Refusal():
            return TextWriter(part, take_index)
        case Reasoning():
            return ReasoningWriter(part, take_index)
        case ToolCall():
            return ToolWriter(part, take_index)
        case Opaque(dialect=dialect) if dialect == DIALECT:
            return NativeWriter(part, take_index)
        case _:
            return BlockWriter(part, take_index)
