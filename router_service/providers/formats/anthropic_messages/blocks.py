"""Translate the parts of a message to content blocks, in their order."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.core.parts import (
    AnyPart,
    CacheMark,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    is_signed_apart,
)
from router_service.providers.claude_signatures import is_of_kind
from router_service.providers.formats.anthropic_messages.cache import cache_control
from router_service.providers.formats.anthropic_messages.dialect import messages_dialect_at
from router_service.providers.formats.anthropic_messages.media import media_block
from router_service.providers.formats.anthropic_messages.names import (
    DIALECT,
    returns_to,
)
from router_service.providers.tool_arguments import FAILED_RESULT, arguments_object
from router_service.providers.tool_names import ToolNames

Block = dict[str, Any]
THINKING = ("thinking", "redacted_thinking")
_object_decoder = msgspec.json.Decoder(dict[str, Any])


class BlockEncoder:
    """Translate parts for one request; ``dropped`` gathers the names of what cannot be sent."""

    def __init__(self, endpoint: Endpoint, names: ToolNames, dropped: set[str]) -> None:
        self._endpoint = endpoint
        self._reasoning_format = messages_dialect_at(endpoint).reasoning_format
        self._imitates = self._reasoning_format is None
        self._names = names
        self._dropped = dropped

    def blocks(self, message: Message) -> list[Block]:
        """Return the blocks of a message, without those that the vendor refuses as empty.

        Raises ``ApiError`` 400 for a medium that the format cannot carry.
        """
        found: list[Block] = []
        for part in message.parts:
            self._add(part, message.role == "assistant", found)
        if message.name and message.role != "assistant":
            _prefix(found, message.name)
        return found

    def system_blocks(self, message: Message) -> list[Block]:
        """Return the blocks of instructions, which are text alone. Raises ``ApiError`` 400 for media."""
        found = self.blocks(message)
        if any(block["type"] != "text" for block in found):
            raise ApiError(
                "invalid_request", "System messages are text for this provider; move images and files to a user message"
            )
        return found

    def _add(self, part: AnyPart, assistant: bool, found: list[Block]) -> None:
        if is_signed_apart(part):
            self._dropped.add("reasoning")
        block = self._block(part, assistant)
        if block is None:
            # What the mark asks for ends at the block before.
            if part.cache is not None and found:
                self._mark(found[-1], part.cache)
            return
        for name, value in self._extras(part).items():
            block.setdefault(name, value)
        if part.cache is not None:
            self._mark(block, part.cache)
        found.append(block)

    def _block(self, part: AnyPart, assistant: bool) -> Block | None:
        match part:
            case Text():
                return self._text(part)
            case Refusal():
                return _plain(part.text)
            case Media():
                return self._assistant_media(part) if assistant else media_block(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Reasoning():
                return self._reasoning(part)
            case Opaque():
                return self._opaque(part)

    def _text(self, part: Text) -> Block | None:
        block = _plain(part.text)
        if block is not None and self._is_own(part):
            citations = [
                c.raw
                for c in part.citations
                if c.dialect == DIALECT
                and c.raw is not None
                and not (part.origin is None and self._imitates and _is_sealed(c.raw))
            ]
            if citations:
                block["citations"] = citations
        return block

    def _assistant_media(self, part: Media) -> Block | None:
        """Return the transcript: assistant turns of this format have no media."""
        if not part.transcript:
            self._dropped.add("media")
        return _plain(part.transcript or "")

    def _call(self, part: ToolCall) -> Block:
        if part.kind == "hosted":
            return {"type": "text", "text": f"{part.name}({part.arguments})"}
        return {
            "type": "tool_use",
            "id": part.call_id,
            "name": self._names.sent(part.name),
            "input": arguments_object(part),
        }

    def _result(self, part: ToolResult) -> Block:
        content: list[Block] = []
        for inner in part.content:
            self._add(inner, False, content)
        block: Block = {"type": "tool_result", "tool_use_id": part.call_id}
        if part.is_error:
            block["is_error"] = True
            # The vendor refuses an error without content.
            content = content or [{"type": "text", "text": FAILED_RESULT}]
        if content:
            block["content"] = content
        return block

    def _reasoning(self, part: Reasoning) -> Block | None:
        own = part.origin is not None and returns_to(part.origin, self._endpoint)
        own = own or is_of_kind(part, self._reasoning_format)
        if own and part.encrypted:
            return {"type": "redacted_thinking", "data": part.encrypted}
        if own and part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        self._dropped.add("reasoning")
        return None

    def _opaque(self, part: Opaque) -> Block | None:
        if part.dialect == DIALECT and self._is_own(part):
            if part.origin is None and self._imitates and _is_sealed(part.raw):
                return _plain(part.text or "")
            with contextlib.suppress(msgspec.DecodeError, RecursionError, ValueError):
                raw: Block = _object_decoder.decode(part.raw)
                if isinstance(raw.get("type"), str):
                    return raw
        return _plain(part.text or "")

    def _is_own(self, part: Part) -> bool:
        return part.origin is None or returns_to(part.origin, self._endpoint)

    def _extras(self, part: Part) -> dict[str, Any]:
        return (part.extras or {}).get(DIALECT, {}) if self._is_own(part) else {}

    def _mark(self, block: Block, mark: CacheMark) -> None:
        if block["type"] in THINKING:
            # The vendor refuses marks on thinking, which is cached with what surrounds it.
            self._dropped.add("cache_control")
        else:
            block["cache_control"] = cache_control(mark)


def _plain(text: str) -> Block | None:
    """Return a text block, or ``None`` for blank text, which the vendor refuses."""
    return {"type": "text", "text": text} if text.strip() else None


def _is_sealed(raw: msgspec.Raw) -> bool:
    """Return whether a block or a citation belongs to a search of the vendor, whose results only the vendor can read.

    The messages API has no field for the origin of such a block, so an imitator cannot tell its own from another's.
    """
    with contextlib.suppress(msgspec.DecodeError, RecursionError, ValueError):
        found = _object_decoder.decode(raw)
        kind = found.get("type")
        hosted = isinstance(kind, str) and (kind == "server_tool_use" or kind.endswith("_tool_result"))
        return hosted or "encrypted_index" in found
    return False


def _prefix(blocks: list[Block], name: str) -> None:
    """Write the speaker's name before the first text, as the reference does for formats without such a field."""
    first = next((block for block in blocks if block["type"] == "text"), None)
    if first is not None:
        first["text"] = f"{name}: {first['text']}"
