"""Translate ``messages`` to turns of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.chat.reasoning_history import reasoning_parts
from router_service.api.skins.chat_content import cache_mark, content_parts, image_part, plain_parts
from router_service.api.skins.field_errors import EXPECTED, bad_field, decode_field
from router_service.core.generation import Message, Role
from router_service.core.large_json import decode_items
from router_service.core.large_text import decode_with_long_text
from router_service.core.origin import unwrap_token
from router_service.core.parts import AnyPart, Citation, Media, Reasoning, Refusal, Text, ToolCall, ToolResult
from router_service.core.wire.chat import (
    DIALECT,
    Annotation,
    AnyContentPart,
    AnyTurn,
    AssistantTurn,
    AudioAnswer,
    DeveloperTurn,
    FunctionCall,
    FunctionTurn,
    MessageToolCall,
    SystemTurn,
    ToolTurn,
    UserTurn,
)

_decoder = msgspec.json.Decoder(list[AnyTurn])
_turn_decoder: msgspec.json.Decoder[AnyTurn] = msgspec.json.Decoder(AnyTurn)
_part_decoder: msgspec.json.Decoder[AnyContentPart] = msgspec.json.Decoder(AnyContentPart)
_annotation_decoder = msgspec.json.Decoder(Annotation)


def read_messages(raw: bytes | msgspec.Raw) -> tuple[list[Message], list[Message]]:
    """Return the leading system and developer turns, which are the instructions, and all later turns.

    Raises ``ApiError`` 400 naming the message and the field that is wrong.
    """
    turns = decode_items(
        raw,
        lambda: decode_field(raw, _decoder, "messages"),
        lambda turn, index: decode_with_long_text(
            turn, "content", lambda raw: decode_field(raw, _turn_decoder, f"messages[{index}]"), _part_decoder
        ),
    )
    if not turns:
        raise bad_field("messages", f"has no message; send {EXPECTED['messages']}")
    call_ids = _FunctionCallIds()
    messages = [_message(turn, f"messages[{index}]", call_ids) for index, turn in enumerate(turns)]
    leading = next((i for i, one in enumerate(messages) if one.role not in ("system", "developer")), len(messages))
    return messages[:leading], messages[leading:]


class _FunctionCallIds:
    """Give an id to each call in the older form, which pairs a call with its result by name and order alone."""

    def __init__(self) -> None:
        self._made = 0
        self._last: dict[str, str] = {}

    def make(self, name: str) -> str:
        self._made += 1
        self._last[name] = f"function_{self._made}"
        return self._last[name]

    def last(self, name: str) -> str:
        return self._last.get(name) or self.make(name)


def _message(turn: AnyTurn, where: str, call_ids: _FunctionCallIds) -> Message:
    match turn:
        case AssistantTurn():
            message = Message(role="assistant", parts=_assistant_parts(turn, where, call_ids), name=turn.name)
        case ToolTurn():
            _, call_id = unwrap_token(turn.tool_call_id)
            message = _tool_message(call_id, turn, where)
        case FunctionTurn():
            if not turn.name:
                raise bad_field(where, "has no name; send the name of the function whose result the message holds")
            message = _tool_message(call_ids.last(turn.name), turn, where)
        case UserTurn():
            message = Message(role="user", parts=list(plain_parts(turn.content, f"{where}.content")), name=turn.name)
        case SystemTurn() | DeveloperTurn():
            role: Role = "system" if isinstance(turn, SystemTurn) else "developer"
            message = Message(role=role, parts=list(plain_parts(turn.content, f"{where}.content")), name=turn.name)
    if turn.cache_control is not None and message.parts:
        message.parts[-1].cache = cache_mark(turn.cache_control)
    return message


def _tool_message(call_id: str, turn: ToolTurn | FunctionTurn, where: str) -> Message:
    content: list[Any] = list(plain_parts(turn.content, f"{where}.content"))
    return Message(role="tool", parts=[ToolResult(call_id=call_id, content=content, name=turn.name)])


def _assistant_parts(turn: AssistantTurn, where: str, call_ids: _FunctionCallIds) -> list[AnyPart]:
    """Return the parts in the order in which a model makes them: reasoning, content, media, tool calls."""
    calls = [_tool_call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(turn.tool_calls or ())]
    parts = _reasoning(turn, calls, where)
    content = content_parts(turn.content, f"{where}.content")
    if turn.annotations:
        _add_citations(turn.annotations, content, where)
    parts += content
    if turn.refusal:
        parts.append(Refusal(text=turn.refusal))
    if turn.audio is not None and (turn.audio.id or turn.audio.data):
        parts.append(_audio(turn.audio))
    parts += [image_part(image.image_url) for image in turn.images or ()]
    if turn.function_call is not None:
        call = turn.function_call
        parts.append(ToolCall(call_id=call_ids.make(call.name), name=call.name, arguments=_arguments(call)))
    return parts + calls


def _tool_call(call: MessageToolCall, where: str) -> ToolCall:
    origin, call_id = unwrap_token(call.id or "")
    cache = cache_mark(call.cache_control)
    if call.function is not None:
        found = call.function
        return ToolCall(call_id=call_id, name=found.name, arguments=_arguments(found), origin=origin, cache=cache)
    if call.custom is None:
        raise bad_field(where, f"has no function; send {EXPECTED['function']}")
    custom = call.custom
    return ToolCall(
        call_id=call_id, name=custom.name, arguments=custom.input or "", kind="custom", origin=origin, cache=cache
    )


def _arguments(call: FunctionCall) -> str:
    found = call.arguments or ""
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def _reasoning(turn: AssistantTurn, calls: Sequence[ToolCall], where: str) -> list[AnyPart]:
    """Return the reasoning, and sign ``calls``. Text without details is kept; text that repeats them is not."""
    text = turn.reasoning or turn.reasoning_content
    parts: list[AnyPart] = []
    if turn.reasoning_details:
        ids = {call.call_id for call in calls if call.call_id}
        found, signatures = reasoning_parts(turn.reasoning_details, ids, f"{where}.reasoning_details")
        parts += found
        for call in calls:
            if call.call_id in signatures:
                origin, call.signature = unwrap_token(signatures[call.call_id])
                call.origin = call.origin if origin is None else origin
    if text and not any(isinstance(part, Reasoning) and part.text for part in parts):
        parts.insert(0, Reasoning(text=text))
    return parts


def _audio(audio: AudioAnswer) -> Media:
    if audio.data:
        return Media(kind="audio", data=audio.data, transcript=audio.transcript, item_id=audio.id)
    return Media(kind="audio", file_id=audio.id, transcript=audio.transcript, item_id=audio.id)


def _add_citations(annotations: Sequence[Raw], content: Sequence[AnyPart], where: str) -> None:
    """Add each annotation to the text that it refers to; its positions count from the start of that text."""
    texts = [part for part in content if isinstance(part, Text)]
    for position, raw in enumerate(annotations):
        annotation = decode_field(bytes(raw), _annotation_decoder, f"{where}.annotations[{position}]")
        if not texts:
            continue
        cited = annotation.url_citation
        if cited is None:
            texts[-1].citations.append(Citation(dialect=DIALECT, raw=raw))
            continue
        text, offset = _text_at(texts, cited.start_index)
        start = None if cited.start_index is None else cited.start_index - offset
        end = None if cited.end_index is None else max(cited.end_index - offset, start or 0)
        found = Citation(
            url=cited.url,
            title=cited.title,
            cited_text=cited.content,
            start=start,
            end=end,
            dialect=DIALECT,
            raw=raw,
        )
        text.citations.append(found)


def _text_at(texts: Sequence[Text], position: int | None) -> tuple[Text, int]:
    """Return the text at ``position`` of the texts joined, and where it begins; the last one for want of a position."""
    offset = 0
    for text in texts[:-1]:
        if position is not None and position < offset + len(text.text):
            return text, offset
        offset += len(text.text)
    return texts[-1], offset
