"""Read ``input`` as messages: the items of one turn of the assistant become one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import bad_field, decode_field
from router_service.api.skins.responses.content import read_contents, result_parts
from router_service.api.skins.responses.hosted_text import hosted_text
from router_service.api.skins.responses.item_ids import read_item_id
from router_service.api.skins.responses.namespaces import flat_name
from router_service.api.skins.responses.reasoning_tokens import read_reasoning
from router_service.api.skins.responses.tools import OfferedTools
from router_service.core.generation import Message, Role
from router_service.core.large_text import decode_with_long_text
from router_service.core.origin import OriginToken
from router_service.core.parts import AnyPart, Media, Opaque, Refusal, Text, ToolCall, ToolKind, ToolResult
from router_service.core.request_bounds import MAX_ITEMS
from router_service.core.wire.responses import (
    DIALECT,
    AdditionalToolsItem,
    CallOutputItem,
    CustomCallItem,
    FunctionCallItem,
    ImageCallItem,
    ItemHead,
    MessageItem,
    ReasoningItem,
)

_input = msgspec.json.Decoder(str | list[Raw] | None)
_head = msgspec.json.Decoder(ItemHead)
_message = msgspec.json.Decoder(MessageItem)
_function_call = msgspec.json.Decoder(FunctionCallItem)
_custom_call = msgspec.json.Decoder(CustomCallItem)
_output = msgspec.json.Decoder(CallOutputItem)
_reasoning = msgspec.json.Decoder(ReasoningItem)
_image = msgspec.json.Decoder(ImageCallItem)
_more_tools = msgspec.json.Decoder(AdditionalToolsItem)
_object = msgspec.json.Decoder(dict[str, Any])
_INPUT = "a string, or an array of items such as {'role': 'user', 'content': 'Hello'}"
_ITEM = "an object such as {'role': 'user', 'content': 'Hello'}"
# What the client or the user says to a hosted call is no part of the assistant's turn.
_ANSWERS = ("_output", "_response")
_OF_USERS = frozenset({"agent_message"})


class InputReader:
    """Collect the messages of one request. ``offered`` takes the tools that items add."""

    def __init__(self, offered: OfferedTools) -> None:
        self.messages: list[Message] = []
        self._offered = offered
        self._signatures: list[OriginToken] = []

    def read(self, raw: bytes) -> None:
        """Read ``input``. Raises ``ApiError`` 400 naming the item and the field that is wrong."""
        found = decode_field(raw, _input, "input", _INPUT)
        if not found:
            raise bad_field("input", f"is empty; send {_INPUT}")
        if isinstance(found, str):
            self.messages.append(Message(role="user", parts=[Text(text=found)]))
            return
        if len(found) > MAX_ITEMS:
            raise bad_field("input", f"has {len(found):,} items; send at most {MAX_ITEMS:,}")
        for index, one in enumerate(found):
            self._item(bytes(one), f"input[{index}]")
        self._sign()
        if not self.messages:
            raise bad_field("input", f"has no message; send {_INPUT}")

    def _item(self, raw: bytes, where: str) -> None:
        head = decode_field(raw, _head, where, _ITEM)
        if head.type is None and head.role is None:
            raise bad_field(where, f"has neither type nor role; send {_ITEM}")
        reader = _READERS.get(head.type or "message")
        if reader is not None:
            reader(self, raw, where)
        else:
            self._hosted(raw, where, head.type or "")

    def _add(self, role: Role, part: AnyPart) -> None:
        if not self.messages or self.messages[-1].role != role:
            self.messages.append(Message(role=role))
        self.messages[-1].parts.append(part)

    def _message(self, raw: bytes, where: str) -> None:
        item = decode_with_long_text(raw, "content", lambda one: decode_field(one, _message, where))
        parts = read_contents(item.content, f"{where}.content")
        if item.role != "assistant":
            for index, part in enumerate(parts):
                if isinstance(part, Refusal):
                    raise bad_field(f"{where}.content[{index}].type", "is refusal, which belongs to assistant messages")
            self.messages.append(Message(role=item.role, parts=[*parts]))
            return
        item_id, origin = read_item_id(item.id)
        for part in parts:
            part.item_id, part.origin = item_id, origin
            if item.phase is not None:
                part.extras = {DIALECT: {"phase": item.phase}}
            self._add("assistant", part)

    def _function_call(self, raw: bytes, where: str) -> None:
        item = decode_field(raw, _function_call, where)
        self._call(item, item.arguments, "function")

    def _custom_call(self, raw: bytes, where: str) -> None:
        item = decode_field(raw, _custom_call, where)
        self._call(item, item.input, "custom")

    def _call(self, item: FunctionCallItem | CustomCallItem, arguments: str, kind: ToolKind) -> None:
        item_id, origin = read_item_id(item.id)
        name = flat_name(item.namespace, item.name)
        part = ToolCall(call_id=item.call_id, name=name, arguments=arguments, kind=kind, item_id=item_id, origin=origin)
        self._add("assistant", part)

    def _result(self, raw: bytes, where: str) -> None:
        item = decode_with_long_text(raw, "output", lambda one: decode_field(one, _output, where))
        self._add("tool", ToolResult(call_id=item.call_id, content=result_parts(item.output, f"{where}.output")))

    def _reasoning(self, raw: bytes, where: str) -> None:
        found = read_reasoning(decode_field(raw, _reasoning, where))
        if isinstance(found, OriginToken):
            self._signatures.append(found)
        else:
            for part in found:
                self._add("assistant", part)

    def _image(self, raw: bytes, where: str) -> None:
        item = decode_field(raw, _image, where)
        if item.result:
            self._add(
                "assistant", Media(kind="image", media_type=f"image/{item.output_format or 'png'}", data=item.result)
            )

    def _reference(self, raw: bytes, where: str) -> None:  # noqa: ARG002 - it can be nothing but refused
        raise bad_field(where, "is a reference to an item, and this router keeps no items; send the item itself")

    def _more_tools(self, raw: bytes, where: str) -> None:
        self._offered.add(decode_field(raw, _more_tools, where).tools, f"{where}.tools")

    def _hosted(self, raw: bytes, where: str, kind: str) -> None:
        """Keep an item that only this dialect knows, with the text that other dialects send instead."""
        item = decode_field(raw, _object, where)
        sent = item.get("id")
        item_id, origin = read_item_id(sent) if isinstance(sent, str) else (None, None)
        if item_id is not None:
            item["id"] = item_id
            raw = msgspec.json.encode(item)
        part = Opaque(dialect=DIALECT, raw=Raw(raw), text=hosted_text(item), item_id=item_id, origin=origin)
        answers = kind.endswith(_ANSWERS) or kind in _OF_USERS
        self._add("user" if answers else "assistant", part)

    def _sign(self) -> None:
        """Give each call the signature that a reasoning item has carried for it."""
        signed = {token.call_id: token for token in self._signatures}
        for message in self.messages if signed else ():
            for part in message.parts:
                if isinstance(part, ToolCall) and (token := signed.get(part.call_id)) is not None:
                    part.signature, part.origin = token.raw, token.origin


def split_instructions(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return the leading system and developer messages, which are instructions, and the others."""
    leading = next((i for i, one in enumerate(messages) if one.role not in ("system", "developer")), len(messages))
    return [*messages[:leading]], [*messages[leading:]]


_READERS: dict[str, Callable[[InputReader, bytes, str], None]] = {
    "message": InputReader._message,
    "function_call": InputReader._function_call,
    "custom_tool_call": InputReader._custom_call,
    "function_call_output": InputReader._result,
    "custom_tool_call_output": InputReader._result,
    "reasoning": InputReader._reasoning,
    "image_generation_call": InputReader._image,
    "item_reference": InputReader._reference,
    "additional_tools": InputReader._more_tools,
}
