"""Translate parts of turns to parts of the vendor's contents."""

from __future__ import annotations

from collections.abc import Sequence
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
)
from router_service.providers.formats.gemini.dialect import gemini_dialect_at
from router_service.providers.formats.gemini.media import media_part
from router_service.providers.formats.gemini.model_turn import ModelTurn, SentPart
from router_service.providers.formats.gemini.names import (
    DIALECT,
    FunctionNames,
    is_made_at,
    is_native_id,
    medium_number,
)
from router_service.providers.tool_arguments import FAILED_RESULT, arguments_object

_object_decoder = msgspec.json.Decoder(dict[str, Any])


class PartEncoder:
    """Translate turns for one request; ``dropped`` gathers the names of what cannot be sent.

    ``images`` is true for a model that makes images, and so reads those of its own turns.
    """

    def __init__(self, endpoint: Endpoint, names: FunctionNames, dropped: set[str], *, images: bool) -> None:
        self._endpoint, self._names, self._dropped = endpoint, names, dropped
        self._reasoning_format = gemini_dialect_at(endpoint).reasoning_format
        self._images = images

    def system_parts(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return the parts of the instructions, which are text alone. Raises ``ApiError`` 400 for media."""
        found = [sent.body for message in messages for sent in self.user_parts(message)]
        if any(part.keys() != {"text"} for part in found):
            raise ApiError(
                "invalid_request", "System messages are text for this provider; move images and files to a user message"
            )
        return found

    def user_parts(self, message: Message) -> list[SentPart]:
        """Return the parts of a turn that is not the model's. Raises ``ApiError`` 400 for an unreadable medium."""
        found: list[SentPart] = []
        for part in message.parts:
            match part:
                case Text() | Refusal():
                    found += _text(part.text)
                case Media():
                    found.append(SentPart(media_part(part)))
                case ToolResult():
                    found += self._result(part)
                case Opaque():
                    own = self._own_part(part)
                    found += [SentPart(own)] if own is not None else _text(part.text or "")
                case _:
                    pass
            if (mark := self._mark_of(part)) is not None and found:
                found[-1].mark = mark
        if message.name:
            # The format has no field for the speaker: the name is written before the first text.
            first = next((sent for sent in found if "text" in sent.body), None)
            if first is not None:
                first.body["text"] = f"{message.name}: {first.body['text']}"
        return found

    def model_parts(self, message: Message) -> list[SentPart]:
        """Return the parts of a turn of the model, each with its signature if this provider has made it."""
        turn = ModelTurn()
        own_turn = any(part.origin is not None and is_made_at(part.origin, self._endpoint) for part in message.parts)
        for part in message.parts:
            match part:
                case Text() | Refusal():
                    turn.say({"text": part.text} if part.text else None, self._own_signature(part))
                case Reasoning():
                    self._reason(part, turn)
                case ToolCall(kind="hosted"):
                    turn.say({"text": f"{part.name}({part.arguments})"}, None)
                case ToolCall():
                    turn.call(self._call(part, own_turn), self._own_signature(part), part.call_id)
                case Media():
                    turn.say(self._made_medium(part), self._own_signature(part))
                case Opaque():
                    own = self._own_part(part)
                    if own is not None:
                        turn.add(own)
                    else:
                        turn.say({"text": part.text} if part.text else None, None)
                case _:
                    pass
            if (mark := self._mark_of(part)) is not None:
                turn.mark(mark)
        return turn.parts()

    def _mark_of(self, part: AnyPart) -> CacheMark | None:
        """Return the mark of a part, or the last one within a result."""
        within = part.content if isinstance(part, ToolResult) else ()
        mark = next((one.cache for one in (part, *reversed(within)) if one.cache is not None), None)
        if mark is not None:
            # The format has no marks: prompts are cached without being asked for, or under a name.
            self._dropped.add("cache_control")
        return mark

    def _own_signature(self, part: Part) -> str | None:
        """Return the signature if this provider has made it. One of unknown origin may be anybody's."""
        if part.signature is None or (part.origin is not None and is_made_at(part.origin, self._endpoint)):
            return part.signature
        self._dropped.add("reasoning")
        return None

    def _reason(self, part: Reasoning, turn: ModelTurn) -> None:
        if part.origin is not None:
            own = is_made_at(part.origin, self._endpoint)
        else:
            own = part.format is not None and part.format == self._reasoning_format
        if not own:
            self._dropped.add("reasoning")
            return
        if part.text:
            turn.think(part.text, part.signature)
        elif part.signature:
            turn.seal(part.signature)
        if part.encrypted:
            turn.seal(part.encrypted, medium_number(part.item_id))

    def _call(self, part: ToolCall, own_turn: bool) -> dict[str, Any]:
        call: dict[str, Any] = {"name": self._names.sent(part.name), "args": arguments_object(part)}
        if own_turn and is_native_id(part.call_id):
            call["id"] = part.call_id
        return {"functionCall": call}

    def _made_medium(self, part: Media) -> dict[str, Any] | None:
        if self._images and part.kind == "image" and (part.data or part.file_id):
            return media_part(part)
        if not part.transcript:
            self._dropped.add("media")
        return {"text": part.transcript} if part.transcript else None

    def _result(self, part: ToolResult) -> list[SentPart]:
        """Return the response to a call, with its text as the output, and its media as parts after it."""
        texts = [inner.text or "" for inner in part.content if not isinstance(inner, Media)]
        media = [media_part(inner) for inner in part.content if isinstance(inner, Media)]
        output = "".join(texts) or (FAILED_RESULT if part.is_error else "")
        response = {"error" if part.is_error else "output": output}
        found = [SentPart({"functionResponse": {"name": "", "response": response}}, call_id=part.call_id)]
        return found + [SentPart(one, belongs_to=part.call_id) for one in media]

    def _own_part(self, part: Opaque) -> dict[str, Any] | None:
        """Return the JSON of a part that this dialect wrote, unless another provider has made it."""
        if part.dialect != DIALECT or (part.origin is not None and not is_made_at(part.origin, self._endpoint)):
            return None
        try:
            return _object_decoder.decode(part.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _text(text: str) -> list[SentPart]:
    return [SentPart({"text": text})] if text else []
