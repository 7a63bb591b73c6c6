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
from router_service.providers.custom_tools import custom_arguments
from router_service.providers.tool_names import ToolNames

NO_RESULT = "The tool returned nothing."
_TEXTUAL = ("application/json", "application/xml")


class TurnEncoder:
    """Encode the turns of one request. ``documents`` are the texts of files, which Cohere cites by their ids.

    ``dropped`` gathers the names of what Cohere has no field for.
    """

    def __init__(self, names: ToolNames, origin: str, dropped: set[str]) -> None:
        self._names, self._origin, self._dropped = names, origin, dropped
        self.documents: list[dict[str, Any]] = []
        self._media_of_results: list[dict[str, Any]] = []

    def encode(self, request: GenerationRequest) -> list[dict[str, Any]]:
        """Return the messages. Raises ``ApiError`` 400 for media that Cohere does not take, and for no message."""
        found = list(self._answered(self._turns([*request.instructions, *request.messages])))
        if not any(message["role"] != "system" for message in found):
            raise ApiError("invalid_request", "All messages are empty; send at least one message with text")
        return found

    def _turns(self, turns: Iterable[Message]) -> Iterator[dict[str, Any]]:
        for turn in turns:
            for part in turn.parts:
                self._note_losses(part)
            results = [part for part in turn.parts if isinstance(part, ToolResult)]
            for result in results:
                yield {"role": "tool", "tool_call_id": result.call_id, "content": self._result_text(result)}
            rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
            if rest:
                yield from self._shown_media()
            if turn.role == "assistant":
                yield from self._assistant(rest)
            elif turn.role in ("system", "developer"):
                if text := _joined(rest):
                    yield {"role": "system", "content": text}
            elif content := self._user(rest, turn.name):
                yield {"role": "user", "content": content}
        yield from self._shown_media()

    def _note_losses(self, part: AnyPart) -> None:
        if part.cache is not None:
            self._dropped.add("cache_control")
        if is_signed_apart(part) or (isinstance(part, Reasoning) and not self._own_thought(part)):
            self._dropped.add("reasoning")
        for inner in part.content if isinstance(part, ToolResult) else ():
            self._note_losses(inner)

    def _own_thought(self, part: Reasoning) -> str:
        """Return the text of reasoning that the same model has made, empty for any other.

        Reasoning without an origin is its own unless the format says that another kind of provider has made it.
        """
        is_own = part.origin == self._origin or (part.origin is None and part.format is None)
        return part.text if is_own else ""

    def _shown_media(self) -> Iterator[dict[str, Any]]:
        """Yield a turn of the user with the media of the results before it: a result takes text alone."""
        if self._media_of_results:
            yield {"role": "user", "content": self._media_of_results}
            self._media_of_results = []

    def _user(self, parts: Sequence[AnyPart], name: str | None) -> str | list[dict[str, Any]]:
        blocks = [block for part in parts if (block := self._block(part)) is not None]
        first = next((block for block in blocks if block["type"] == "text"), None)
        if name and first is not None:
            # The format has no field for the speaker: the name is written before the first text.
            first["text"] = f"{name}: {first['text']}"
        if all(block["type"] == "text" for block in blocks):
            return "\n".join(block["text"] for block in blocks)
        return blocks

    def _block(self, part: AnyPart) -> dict[str, Any] | None:
        if isinstance(part, Media):
            return self._media(part)
        text = _text(part)
        return {"type": "text", "text": text} if text else None

    def _media(self, part: Media) -> dict[str, Any]:
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
        thoughts = "".join(self._own_thought(part) for part in parts if isinstance(part, Reasoning))
        text = "".join(self._answered_text(part) for part in parts)
        if calls:
            plan = "\n".join(piece for piece in (thoughts, text) if piece)
            yield {
                "role": "assistant",
                "tool_calls": [self._call(call) for call in calls],
                **({"tool_plan": plan} if plan else {}),
            }
        elif text:
            thinking = [{"type": "thinking", "thinking": thoughts}] if thoughts else []
            yield {"role": "assistant", "content": [*thinking, {"type": "text", "text": text}]}

    def _answered_text(self, part: AnyPart) -> str:
        """Return the text of a part of an answer; media of one have no field, so their transcript stands for them."""
        if not isinstance(part, Media):
            return _text(part)
        if not part.transcript:
            self._dropped.add("messages.images" if part.kind == "image" else f"messages.{part.kind}")
        return part.transcript or ""

    def _call(self, call: ToolCall) -> dict[str, Any]:
        name = self._names.sent(call.name)
        arguments = call.arguments
        if call.kind == "custom" or name in self._names.custom:
            arguments = custom_arguments(call.arguments).decode()
        return {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": arguments or "{}"}}

    def _result_text(self, result: ToolResult) -> str:
        """Return the text of a result, and keep its media for the turn after the results.

        A medium that Cohere does not take is named and reported: the conversation goes on without it.
        """
        pieces: list[str] = []
        media: list[dict[str, Any]] = []
        for part in result.content:
            if not isinstance(part, Media):
                pieces.append(_text(part))
                continue
            try:
                media.append(self._media(part))
            except ApiError:
                self._dropped.add(f"messages.{part.kind}")
                pieces.append(f"({part.kind} left out)")
        if media:
            introduced = {"type": "text", "text": f"Attached to the result of {result.call_id}:"}
            self._media_of_results += [introduced, *media]
        return "\n".join(piece for piece in pieces if piece) or NO_RESULT

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
