"""Translate the parts of a message to content blocks, in their order."""

from __future__ import annotations

from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.core.parts import (
    AnyPart,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    is_signed_apart,
)
from router_service.providers.claude_signatures import is_of_kind
from router_service.providers.formats.bedrock_converse.cache import Block, SentBlock
from router_service.providers.formats.bedrock_converse.media import MediaEncoder
from router_service.providers.formats.bedrock_converse.model_traits import ConverseTraits
from router_service.providers.formats.bedrock_converse.names import (
    DIALECT,
    converse_origin_at,
    converse_token_format,
)
from router_service.providers.tool_arguments import FAILED_RESULT, arguments_object
from router_service.providers.tool_names import ToolNames

EMPTY = "(empty)"
_object_decoder = msgspec.json.Decoder(dict[str, Any])


class BlockEncoder:
    """Translate parts for one request; ``dropped`` gathers the names of what cannot be sent."""

    def __init__(self, endpoint: Endpoint, traits: ConverseTraits, names: ToolNames, dropped: set[str]) -> None:
        self._origin = converse_origin_at(endpoint)
        self._traits = traits
        self._names = names
        self._dropped = dropped
        self._media = MediaEncoder()

    def system_blocks(self, message: Message) -> list[SentBlock]:
        """Return the blocks of instructions, which are text alone. Raises ``ApiError`` 400 for media."""
        found = self.blocks(message)
        if any("text" not in block.body for block in found):
            raise ApiError(
                "invalid_request", "System messages are text for this provider; move images and files to a user message"
            )
        return found

    def blocks(self, message: Message) -> list[SentBlock]:
        """Return the blocks of a message, without those that the vendor refuses as blank.

        Raises ``ApiError`` 400 for a medium that the format cannot carry.
        """
        found: list[SentBlock] = []
        assistant = message.role == "assistant"
        for part in message.parts:
            if is_signed_apart(part):
                self._dropped.add("reasoning")
            body = self._body(part, assistant)
            if body is not None:
                found.append(SentBlock(body))
            self._mark(part, found)
        if message.name and not assistant:
            # The format has no field for the speaker: the name is written before the first text.
            first = next((block.body for block in found if "text" in block.body), None)
            if first is not None:
                first["text"] = f"{message.name}: {first['text']}"
        return found

    def _mark(self, part: AnyPart, found: list[SentBlock]) -> None:
        """Mark the block of ``part``, or the one before where it has none; a mark within a result stands after it."""
        marks = [part.cache, *(inner.cache for inner in part.content)] if isinstance(part, ToolResult) else [part.cache]
        mark = next((one for one in marks if one is not None), None)
        if mark is None:
            return
        if not found or "reasoningContent" in found[-1].body:
            self._dropped.add("cache_control")
        else:
            found[-1].mark = mark

    def _body(self, part: AnyPart, assistant: bool) -> Block | None:
        match part:
            case Text() | Refusal():
                return _plain(part.text)
            case Media():
                return self._made_medium(part) if assistant else self._media.block(part)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Reasoning():
                return self._reasoning(part)
            case Opaque():
                return self._opaque(part)

    def _made_medium(self, part: Media) -> Block | None:
        """Return the transcript: models take no media in their own turns."""
        if not part.transcript:
            self._dropped.add("media")
        return _plain(part.transcript or "")

    def _call(self, part: ToolCall) -> Block:
        if part.kind == "hosted":
            return {"text": f"{part.name}({part.arguments})"}
        called = {"toolUseId": part.call_id, "name": self._names.sent(part.name), "input": arguments_object(part)}
        return {"toolUse": called}

    def _result(self, part: ToolResult) -> Block:
        content: list[Block] = []
        for inner in part.content:
            body = self._body(inner, assistant=False)
            if body is not None:
                content.append(body)
        if not content:
            content = [{"text": FAILED_RESULT if part.is_error else EMPTY}]
        result: Block = {"toolUseId": part.call_id, "content": content}
        if part.is_error and self._traits.mixes_results:
            result["status"] = "error"
        elif part.is_error:
            result["content"] = [{"text": "The tool failed:"}, *content]
        return {"toolResult": result}

    def _reasoning(self, part: Reasoning) -> Block | None:
        if self._traits.claude is None:
            # Other models do not sign their reasoning, and refuse it in the history.
            own = False
        else:
            own = part.origin == self._origin or is_of_kind(part, converse_token_format(self._origin))
        if own and part.encrypted:
            return {"reasoningContent": {"redactedContent": part.encrypted}}
        if own and part.signature:
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
        self._dropped.add("reasoning")
        return None

    def _opaque(self, part: Opaque) -> Block | None:
        if part.dialect == DIALECT and part.origin in (None, self._origin):
            try:
                return _object_decoder.decode(part.raw)
            except (msgspec.DecodeError, RecursionError, ValueError):
                pass
        return _plain(part.text or "")


def _plain(text: str) -> Block | None:
    """Return a text block, or ``None`` for blank text, which the vendor refuses."""
    return {"text": text} if text.strip() else None
