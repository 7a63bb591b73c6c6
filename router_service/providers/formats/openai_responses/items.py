"""Translate the turns of a conversation to the items of the input, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.core.parts import (
    AnyPart,
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
from router_service.providers.custom_tools import custom_arguments
from router_service.providers.formats.openai_responses.dialect import ResponsesDialect
from router_service.providers.formats.openai_responses.media import input_media
from router_service.providers.formats.openai_responses.names import DIALECT, comes_from
from router_service.providers.formats.openai_responses.sent_turn import SentTurn
from router_service.providers.tool_names import ToolNames

Item = dict[str, Any]
# Ends what is to be cached. Source: OpenAI docs: Prompt caching, "Prompt cache breakpoints".
BREAKPOINT = "prompt_cache_breakpoint"
# Kinds of content, which stand within a message; everything else that the dialect alone has is an item.
CONTENT = ("input_text", "input_image", "input_file", "input_audio")
# Items that parts of their own stand for.
_SPOKEN = ("message", "reasoning")
_object_decoder = msgspec.json.Decoder(Item)


class InputEncoder:
    """Translate turns for one request; ``dropped`` gathers the names of what cannot be sent."""

    def __init__(self, endpoint: Endpoint, dialect: ResponsesDialect, names: ToolNames, dropped: set[str]) -> None:
        self._endpoint, self._dialect = endpoint, dialect
        self._names, self._dropped = names, dropped

    def items(self, messages: Iterable[Message]) -> list[Item]:
        """Return the items. Raises ``ApiError`` 400 for a medium that the format cannot carry."""
        found: list[Item] = []
        # A turn of the assistant may come as several messages, one for each of its items.
        for assistant, group in groupby(messages, key=lambda message: message.role == "assistant"):
            if assistant:
                found += self._turn([part for message in group for part in message.parts])
            else:
                for message in group:
                    found += self._others(message)
        return found

    def instructions(self, messages: Iterable[Message]) -> list[Item]:
        """Return the parts of the instructions. Raises ``ApiError`` 400 for media."""
        found = [part for message in messages for part in self._content(message)]
        if any(part.get("type") != "input_text" for part in found):
            raise ApiError(
                "invalid_request", "System messages are text for this provider; move images and files to a user message"
            )
        return found

    def _others(self, message: Message) -> list[Item]:
        """Return the items of a turn that is not the assistant's; results stand where they were written."""
        found: list[Item] = []
        waiting: list[AnyPart] = []

        def flush() -> None:
            said = self._content(Message(role=message.role, parts=waiting, name=message.name))
            content = [part for part in said if part.get("type") in CONTENT]
            if content:
                role = "user" if message.role == "tool" else message.role
                found.append({"type": "message", "role": role, "content": content})
            found.extend(part for part in said if part.get("type") not in CONTENT)
            waiting.clear()

        for part in message.parts:
            if isinstance(part, ToolResult):
                flush()
                found.append(self._result(part))
            else:
                waiting.append(part)
        flush()
        return found

    def _content(self, message: Message) -> list[Item]:
        found = [encoded for part in message.parts if (encoded := self._part(part)) is not None]
        if message.name:
            # The format has no field for the speaker: the name is written before the first text.
            first = next((part for part in found if part.get("type") == "input_text"), None)
            if first is not None:
                first["text"] = f"{message.name}: {first['text']}"
        return found

    def _part(self, part: AnyPart) -> Item | None:
        """Return a part of content, or ``None`` for one that says nothing."""
        encoded: Item | None
        match part:
            case Media():
                encoded = input_media(part)
            case Opaque():
                encoded = self._own_item(part) or _text_input(part.text or "")
            case Text() | Refusal():
                encoded = _text_input(part.text)
            case _:
                encoded = None
        if encoded is not None and encoded["type"] in CONTENT:
            encoded |= self._extras(part)
        if part.cache is not None:
            self._mark(encoded)
        return encoded

    def _mark(self, part: Item | None) -> None:
        """Mark a part of content as the end of what is to be cached, if the model takes marks there."""
        if part is not None and part["type"] in CONTENT and self._dialect.breakpoints:
            part.setdefault(BREAKPOINT, {"mode": "explicit"})
        elif part is None or BREAKPOINT not in part:
            self._dropped.add("cache_control")

    def _result(self, part: ToolResult) -> Item:
        content = [encoded for inner in part.content if (encoded := self._part(inner)) is not None]
        if part.cache is not None:
            self._mark(content[-1] if content else None)
        only_text = all(one.keys() == {"type", "text"} for one in content)
        output: Any = "".join(one["text"] for one in content) if only_text else content
        return {"type": "function_call_output", "call_id": part.call_id, "output": output} | self._extras(part)

    def _turn(self, parts: Sequence[AnyPart]) -> list[Item]:
        turn = SentTurn(keeps_ids=not self._dialect.reasons)
        if any(map(is_signed_apart, parts)):
            self._dropped.add("reasoning")
        for part in parts:
            if part.cache is not None:
                self._dropped.add("cache_control")
            match part:
                case Text() | Refusal():
                    self._say(part, turn)
                case Reasoning():
                    self._reason(part, turn)
                case ToolCall(kind="hosted"):
                    turn.say(_output_text(f"{part.name}({part.arguments})"), None, None)
                case ToolCall():
                    turn.add(self._call(part), self._own_id(part))
                case Opaque():
                    self._hosted(part, turn)
                case Media():
                    # Turns of the assistant have no media in this format.
                    if not part.transcript:
                        self._dropped.add("media")
                    turn.say(_output_text(part.transcript or ""), None, None)
                case _:
                    pass
        items, lost = turn.items()
        if lost:
            self._dropped.add("reasoning")
        return items

    def _say(self, part: Text | Refusal, turn: SentTurn) -> None:
        own = self._is_own(part)
        phase = self._extras(part).get("phase") if own else None
        if isinstance(part, Refusal):
            turn.say({"type": "refusal", "refusal": part.text} if part.text else None, self._own_id(part), phase)
            return
        content = _output_text(part.text)
        cited = [one.raw for one in part.citations if one.dialect == DIALECT and one.raw is not None and own]
        if content is not None and cited:
            content["annotations"] = cited
        turn.say(content, self._own_id(part), phase)

    def _reason(self, part: Reasoning, turn: SentTurn) -> None:
        if part.origin is not None:
            own = comes_from(part.origin, self._endpoint)
        else:
            own = part.format is not None and part.format == self._dialect.reasoning_format
        if own and self._dialect.reasons:
            turn.reason(part)
        else:
            turn.lose_reasoning()

    def _call(self, part: ToolCall) -> Item:
        name = self._names.sent(part.name)
        extras = self._extras(part)
        if part.kind == "custom" and self._dialect.custom_tools:
            return {"type": "custom_tool_call", "call_id": part.call_id, "name": name, "input": part.arguments} | extras
        arguments = part.arguments
        if part.kind == "custom":
            arguments = custom_arguments(arguments).decode()
        # The vendor refuses no arguments at all: a function without any gets an empty object.
        arguments = arguments if arguments.strip() else "{}"
        return {"type": "function_call", "call_id": part.call_id, "name": name, "arguments": arguments} | extras

    def _hosted(self, part: Opaque, turn: SentTurn) -> None:
        item = self._own_item(part)
        if item is None:
            turn.say(_output_text(part.text or ""), None, None)
            return
        item_id = item.pop("id", None)
        turn.add(item, item_id if isinstance(item_id, str) else None, needs_id=_needs_id(item), text=part.text)

    def _own_item(self, part: Opaque) -> Item | None:
        """Return the JSON of a part that this dialect wrote, unless another provider's account has made it."""
        if part.dialect != DIALECT or not self._is_own(part):
            return None
        try:
            found = _object_decoder.decode(part.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        kind = found.get("type")
        if (
            not isinstance(kind, str)
            or kind in _SPOKEN
            or (kind == "input_text" and not isinstance(found.get("text"), str))
        ):
            return None
        return found

    def _own_id(self, part: Part) -> str | None:
        return part.item_id if part.origin is not None and comes_from(part.origin, self._endpoint) else None

    def _is_own(self, part: Part) -> bool:
        return part.origin is None or comes_from(part.origin, self._endpoint)

    def _extras(self, part: Part) -> Item:
        return dict((part.extras or {}).get(DIALECT, {})) if self._is_own(part) else {}


def _needs_id(item: Item) -> bool:
    """Return whether the vendor requires the id of an item of its own; a search is understood without one."""
    return item.get("type") not in ("web_search_call", "shell_call", "apply_patch_call", "tool_search_call")


def _text_input(text: str) -> Item | None:
    return {"type": "input_text", "text": text} if text else None


def _output_text(text: str) -> Item | None:
    return {"type": "output_text", "text": text} if text else None
