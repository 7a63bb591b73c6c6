"""Encode the turns of a conversation, fitted to the provider that gets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import (
    AnyPart,
    CacheMark,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    is_signed_apart,
)
from router_service.providers.formats.openai_chat.dialect import NAME, Dialect, dialect_at
from router_service.providers.formats.openai_chat.tools import CallIds, cache_control, encode_call
from router_service.providers.formats.openai_chat.turn_order import (
    alternated,
    in_mistral_order,
    paired,
    with_one_system_turn,
)

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "mp4": "m4a", "x-m4a": "m4a"}
_Turn = dict[str, Any]


class TurnEncoder:
    """Encode one conversation. ``dropped`` collects the parameters that the dialect cannot express."""

    def __init__(self, dialect: Dialect, origin: str, dropped: set[str]) -> None:
        self._dialect = dialect
        self._origin = origin
        self._dropped = dropped
        self._ids = CallIds(dialect)
        self._hosted: set[str] = set()
        self._turns: list[_Turn] = []
        self._media_of_results: list[Any] = []

    def encode(self, request: GenerationRequest) -> list[_Turn]:
        """Return all turns, the instructions first. Turns without content are left out."""
        for message in (*request.instructions, *request.messages):
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            for result in results:
                self._result(result)
            others = [part for part in message.parts if not isinstance(part, ToolResult)]
            if others:
                self._flush_media()
                if message.role == "assistant":
                    self._assistant(message, others)
                else:
                    self._other(message, others)
        self._flush_media()
        return self._ordered(self._turns)

    def _ordered(self, turns: list[_Turn]) -> list[_Turn]:
        dialect = self._dialect
        if any(turn["role"] == "tool" or "tool_calls" in turn for turn in turns):
            turns = paired(turns)
        field, absent = dialect.reasoning_field, dialect.absent_reasoning
        if absent is not None and field and any("tool_calls" in turn for turn in turns):
            for turn in turns:
                if turn["role"] == "assistant":
                    turn.setdefault(field, absent)
        if dialect.alternating:
            return alternated(turns)
        if dialect.mistral_order:
            return in_mistral_order(turns)
        return with_one_system_turn(turns) if dialect.one_system else turns

    def _other(self, message: Message, parts: Sequence[AnyPart]) -> None:
        content = [encoded for part in parts if (encoded := self._part(part)) is not None]
        if not content:
            return
        role = "user" if message.role == "tool" else message.role
        if role == "developer" and not self._dialect.developer_role:
            role = "system"
        turn: _Turn = {"role": role, "content": self._joined(content)}
        if message.name and self._dialect.message_names:
            turn["name"] = message.name
        self._turns.append(turn)

    def _assistant(self, message: Message, parts: Sequence[AnyPart]) -> None:
        content: list[Any] = []
        calls: list[dict[str, Any]] = []
        fields: _Turn = {}
        if any(map(is_signed_apart, parts)):
            self._dropped.add("reasoning")
        for part in parts:
            match part:
                case ToolCall(kind="hosted"):
                    self._hosted.add(part.call_id)
                case ToolCall() if not self._dialect.tools:
                    content.append({"type": "text", "text": f"\nCalled {part.name}: {part.arguments}"})
                case ToolCall():
                    calls.append(encode_call(part, self._ids.of_call(part.call_id), self._dialect))
                case Refusal() if part.text and self._dialect.refusal_field:
                    fields["refusal"] = fields.get("refusal", "") + part.text
                case Reasoning():
                    self._reasoning(part, fields)
                case Media():
                    self._answered_media(part, content, fields)
                case Opaque() if _is_reasoning_detail(part):
                    self._detail(part, fields)
                case _:
                    encoded = self._part(part, own=True)
                    content += [] if encoded is None else [encoded]
        if not content and not calls and not fields.keys() & {"refusal", "audio"}:
            return
        if (thought := fields.pop("tags", None)) is not None:
            content.insert(0, {"type": "text", "text": f"<think>\n{thought}\n</think>\n\n"})
        said = _as_text(content)
        turn: _Turn = {"role": "assistant", "content": "" if said is None and not self._dialect.null_content else said}
        turn |= fields
        if message.name and self._dialect.message_names:
            turn["name"] = message.name
        if calls:
            turn["tool_calls"] = calls
        self._turns.append(turn)

    def _reasoning(self, part: Reasoning, fields: _Turn) -> None:
        """Add reasoning that may go back to the provider; any other is dropped and reported.

        Reasoning without an origin is the provider's own unless its format says that another kind of provider made it.
        A provider that takes signed reasoning knows the formats.
        """
        dialect, own = self._dialect, part.origin == self._origin
        unnamed = part.origin is None
        signed = dialect.reasoning_details and (own or (unnamed and part.format is not None))
        name = dialect.reasoning_field if own or signed or (unnamed and part.format is None) else None
        if not signed and (name is None or not part.text):
            self._dropped.add("reasoning")
            return
        if name is not None and part.text:
            fields[name] = fields.get(name, "") + part.text
        if not signed:
            return
        kind = "encrypted" if part.encrypted else "summary" if part.summary else "text"
        detail = {
            "type": f"reasoning.{kind}",
            "data" if part.encrypted else kind: part.encrypted or part.text,
            "signature": part.signature,
            "id": part.item_id,
            "format": part.format,
        }
        details = fields.setdefault("reasoning_details", [])
        details.append({name: value for name, value in detail.items() if value} | {"index": len(details)})

    def _detail(self, part: Opaque, fields: _Turn) -> None:
        if self._dialect.reasoning_details and part.origin == self._origin:
            fields.setdefault("reasoning_details", []).append(part.raw)
        else:
            self._dropped.add("reasoning")

    def _answered_media(self, part: Media, content: list[Any], fields: _Turn) -> None:
        """Refer to an earlier answer in audio by its id, or else repeat its transcript."""
        if part.kind == "audio" and part.item_id and part.origin == self._origin and self._dialect.audio_history:
            fields["audio"] = {"id": part.item_id}
        elif part.transcript:
            content.append({"type": "text", "text": part.transcript})
        else:
            # The format has no field for media of an assistant.
            self._dropped.add("messages.images" if part.kind == "image" else f"messages.{part.kind}")

    def _result(self, result: ToolResult) -> None:
        if result.call_id in self._hosted:
            return
        content: list[Any] = []
        for part in result.content:
            encoded = self._part(part)
            if isinstance(part, Media):
                self._media_of_results.append(encoded)
            elif encoded is not None:
                content.append(encoded)
        if result.cache is not None:
            last = next((part for part in reversed(content) if isinstance(part, dict)), None)
            if last is None:
                self._dropped.add("cache_control")
            else:
                self._mark(last, result.cache)
        if not self._dialect.tools:
            said = {"type": "text", "text": "Result: "}
            self._turns.append({"role": "user", "content": _as_text([said, *content])})
            return
        call_id = self._ids.of_result(result.call_id)
        self._turns.append(
            {"role": "tool", "tool_call_id": call_id, "content": self._joined(content) if content else ""}
        )

    def _flush_media(self) -> None:
        """Show media of tool results in a turn of the user after all results: a result takes text alone."""
        if self._media_of_results:
            self._turns.append({"role": "user", "content": self._media_of_results})
            self._media_of_results = []

    def _joined(self, content: list[Any]) -> Any:
        """Return the text of a single part that is nothing but text, else the list of parts.

        Where texts have to be one, each is a paragraph of it.
        """
        if (len(content) == 1 or not self._dialect.text_parts) and all(map(_is_bare_text, content)):
            return "\n\n".join(part["text"] for part in content)
        return content

    def _part(self, part: AnyPart, *, own: bool = False) -> Any:
        """Return a part of content, the model's ``own`` or any other; ``None`` for one that says nothing."""
        encoded: dict[str, Any] | None
        match part:
            case Text() | Refusal():
                encoded = {"type": "text", "text": part.text} if part.text else None
            case Media():
                encoded = _media(part, self._dialect)
            case Opaque() if part.dialect == NAME:
                return part.raw
            case Opaque():
                encoded = {"type": "text", "text": part.text} if part.text else None
            case _:
                return None
        if encoded is not None and part.cache is not None:
            self._mark(encoded, part.cache, own=own)
        return encoded

    def _mark(self, encoded: Any, mark: CacheMark, *, own: bool = False) -> None:
        """Mark a part where the provider takes marks; OpenAI takes none in what a model has said."""
        if self._dialect.cache_control:
            encoded["cache_control"] = cache_control(mark)
        elif self._dialect.breakpoints and not own:
            encoded["prompt_cache_breakpoint"] = {"mode": "explicit"}
        else:
            self._dropped.add("cache_control")


def _as_text(content: list[Any]) -> Any:
    """Return the content of an assistant as one text if it has nothing else: few servers take parts there."""
    if all(map(_is_bare_text, content)):
        return "".join(part["text"] for part in content) or None
    return content


def _is_bare_text(part: Any) -> bool:
    return isinstance(part, dict) and part.keys() == {"type", "text"}


def _is_reasoning_detail(part: Opaque) -> bool:
    if part.dialect != NAME:
        return False
    try:
        kind = msgspec.json.decode(part.raw, type=dict[str, Any]).get("type")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(kind, str) and kind.startswith("reasoning.")


def takes_data_alone(part: Media, endpoint: Endpoint) -> bool:
    """Return whether ``part`` cannot be sent by its URL. Audio never can; the dialect tells of images and files."""
    if part.kind == "video":
        return False
    dialect = dialect_at(endpoint)
    return part.kind == "audio" or (dialect.inline_images if part.kind == "image" else dialect.inline_files)


def _media(part: Media, dialect: Dialect) -> dict[str, Any]:
    """Return a part of content. Raises ``ApiError`` 400 for audio and files that have to be inline and are not."""
    url = part.url
    if url is None and part.data is not None:
        url = f"data:{part.media_type or _DEFAULT_TYPES[part.kind]};base64,{part.data}"
    if part.file_id is not None:
        return {"type": "file", "file": _present(file_id=part.file_id, filename=part.name)}
    if part.kind == "image":
        if dialect.inline_images and part.data is None:
            raise ApiError(
                "invalid_request", "Images must be sent inline as base64: this provider takes no address of them"
            )
        return {"type": "image_url", "image_url": _present(url=url, detail=part.detail)}
    if part.kind == "video":
        return {"type": "video_url", "video_url": {"url": url}}
    if part.kind == "audio":
        if part.data is None:
            raise ApiError(
                "invalid_request", "Audio must be sent inline as base64: this provider takes no address of it"
            )
        subtype = (part.media_type or "audio/wav").partition("/")[2].partition(";")[0]
        audio = {"data": part.data, "format": _AUDIO_FORMATS.get(subtype, subtype)}
        return {"type": "input_audio", "input_audio": audio}
    if not dialect.inline_files:
        return {"type": "file", "file": _present(filename=part.name, file_data=url)}
    if part.data is None:
        raise ApiError(
            "invalid_request", "Documents must be sent inline as base64: this provider takes no address of them"
        )
    # OpenAI reads no file without a name, which other formats do not require.
    name = part.name or _DEFAULT_NAMES.get(part.media_type or _DEFAULT_TYPES[part.kind], "document")
    return {"type": "file", "file": {"filename": name, "file_data": url}}


_DEFAULT_TYPES = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "document": "application/pdf",
    "file": "application/octet-stream",
}
_DEFAULT_NAMES = {"application/pdf": "document.pdf", "text/plain": "document.txt"}


def _present(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}
