"""Translate instructions and turns to Cohere's messages, and fit histories to what it accepts.

Source: Cohere API reference v2, "Chat", messages (2026-11). An assistant turn has content or tool calls with a plan;
each call is followed by its result.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from router_service.providers.custom_tools import custom_arguments
from router_service.providers.tool_names import ToolNames

NO_RESULT = "The tool returned nothing."
_TEXTUAL = ("application/json", "application/xml")


class TurnEncoder:
    """Encode the turns of one request. ``documents`` are the texts of files, which Cohere cites by their ids."""

    def __init__(self, names: ToolNames, origin: str) -> None:
        self._names, self._origin = names, origin
        self.documents: list[dict[str, Any]] = []

    def encode(self, request: GenerationRequest) -> list[dict[str, Any]]:
        """Return the messages. Raises ``ApiError`` 400 for media that Cohere does not take, and for no message."""
        found = list(self._answered(self._turns([*request.instructions, *request.messages])))
        if not any(message["role"] != "system" for message in found):
            raise ApiError("invalid_request", "All messages are empty; send at least one message with text")
        return found

    def _turns(self, turns: Iterable[Message]) -> Iterator[dict[str, Any]]:
        for turn in turns:
            results = [part for part in turn.parts if isinstance(part, ToolResult)]
            for result in results:
                yield {"role": "tool", "tool_call_id": result.call_id, "content": self._result_text(result)}
            rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
            if turn.role == "assistant":
                yield from self._assistant(rest)
            elif turn.role in ("system", "developer"):
                if text := _joined(rest):
                    yield {"role": "system", "content": text}
            elif content := self._user(rest):
                yield {"role": "user", "content": content}

    def _user(self, parts: Sequence[AnyPart]) -> str | list[dict[str, Any]]:
        blocks = [block for part in parts if (block := self._block(part)) is not None]
        if all(block["type"] == "text" for block in blocks):
            return "\n".join(block["text"] for block in blocks)
        return blocks

    def _block(self, part: AnyPart) -> dict[str, Any] | None:
        if isinstance(part, Media):
            return self._media(part)
        text = _text(part)
        return {"type": "text", "text": text} if text else None

    def _media(self, part: Media) -> dict[str, Any] | None:
        media_type = (part.media_type or "").partition(";")[0].strip().lower()
        if part.kind == "image" or media_type.startswith("image/"):
            if part.file_id is not None:
                raise ApiError(
                    "invalid_request", "Images by the id of a file are not known to this provider; send data"
                )
            url = part.url if part.data is None else f"data:{media_type or 'image/png'};base64,{part.data}"
            detail = {"detail": part.detail} if part.detail in ("auto", "low", "high") else {}
            return {"type": "image_url", "image_url": {"url": url or "", **detail}}
        if part.data is not None and (media_type.startswith("text/") or media_type in _TEXTUAL):
            try:
                text = base64.b64decode(part.data, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise ApiError(
                    "invalid_request",
                    f"The file {part.name or media_type} is no base64 of text in UTF-8; send it as such",
                ) from None
            number = len(self.documents)
            self.documents.append(
                {"id": f"doc-{number}", "data": {"title": part.name or f"document {number}", "text": text}}
            )
            return {"type": "text", "text": f"(The document {part.name or number} is attached.)"}
        kind = "file" if part.kind == "document" else part.kind
        raise ApiError(
            "invalid_request",
            f"This provider takes no {kind} input of type {media_type or 'unknown'}; send text or images, or ask "
            "another model",
        )

    def _assistant(self, parts: Sequence[AnyPart]) -> Iterator[dict[str, Any]]:
        calls = [part for part in parts if isinstance(part, ToolCall) and part.kind != "hosted"]
        thoughts = "".join(
            part.text for part in parts if isinstance(part, Reasoning) and part.origin == self._origin and part.text
        )
        text = _joined(part for part in parts if not isinstance(part, ToolCall | Reasoning | Media))
        if calls:
            plan = text or thoughts
            yield {
                "role": "assistant",
                "tool_calls": [self._call(call) for call in calls],
                **({"tool_plan": plan} if plan else {}),
            }
        elif text:
            thinking = [{"type": "thinking", "thinking": thoughts}] if thoughts else []
            yield {"role": "assistant", "content": [*thinking, {"type": "text", "text": text}]}

    def _call(self, call: ToolCall) -> dict[str, Any]:
        name = self._names.sent(call.name)
        arguments = call.arguments
        if call.kind == "custom" or name in self._names.custom:
            arguments = custom_arguments(call.arguments).decode()
        return {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": arguments or "{}"}}

    def _result_text(self, result: ToolResult) -> str:
        pieces = [f"({part.kind} left out)" if isinstance(part, Media) else _text(part) for part in result.content]
        text = "\n".join(piece for piece in pieces if piece)
        return text or NO_RESULT

    def _answered(self, messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield ``messages`` such that each call has its result behind it, and each result its call before it."""
        waiting: list[str] = []
        for message in messages:
            if message["role"] == "tool":
                if message["tool_call_id"] in waiting:
                    waiting.remove(message["tool_call_id"])
                    yield message
                else:
                    yield {"role": "user", "content": f"Result of a tool: {message['content']}"}
                continue
            yield from (_unanswered(call_id) for call_id in waiting)
            waiting = [call["id"] for call in message.get("tool_calls", ())]
            yield message
        yield from (_unanswered(call_id) for call_id in waiting)


def _unanswered(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": NO_RESULT}


def _joined(parts: Iterable[AnyPart]) -> str:
    return "\n".join(text for part in parts if (text := _text(part)))


def _text(part: AnyPart) -> str:
    match part:
        case Text() | Refusal():
            return part.text
        case Opaque():
            return part.text or ""
    return ""
