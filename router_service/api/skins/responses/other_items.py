"""Write reasoning, calls, images and the items that a provider of this dialect made itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router_service.api.skins.responses.event_log import EventLog, members
from router_service.api.skins.responses.open_items import OpenItem, PartWriter, Status, TextPieces
from router_service.api.skins.responses.reasoning_tokens import encrypted_content
from router_service.core.events import PartDelta, PartEnded
from router_service.core.outgoing_json import json_text
from router_service.core.parts import Media, Reasoning, ToolCall


class FixedItem(OpenItem):
    """Write an item that is known in full when it begins."""

    __slots__ = ("_content",)

    def __init__(self, log: EventLog, index: int, item_id: str, content: dict[str, Any]) -> None:
        super().__init__(log, index, item_id)
        self._content = content

    def shown(self, status: Status) -> dict[str, Any]:
        if status == "in_progress":
            return self._content | {"id": self.item_id, "status": status}
        # A call that the provider ran may have failed; it says so itself.
        return {"status": "completed"} | self._content | {"id": self.item_id}


class OpenReasoning(OpenItem):
    """Write reasoning. Its token is complete at its end alone, because a signature may follow the text."""

    __slots__ = ("part", "text")

    def __init__(self, log: EventLog, index: int, item_id: str, part: Reasoning) -> None:
        super().__init__(log, index, item_id)
        self.part = part
        self.text = TextPieces()

    def shown(self, status: Status) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "reasoning", "id": self.item_id, "status": status, "summary": []}
        if self.text:
            found["summary" if self.part.summary else "content"] = [self._shown_text()]
        if status != "in_progress":
            found["encrypted_content"] = encrypted_content(self.part)
        return found if self.part.format is None else found | {"format": self.part.format}

    def say(self, text: str) -> None:
        """Write a piece of the text."""
        if not self.text:
            self._write_part("added", {"type": self._kind, "text": ""})
        self.text.add(text)
        self.log.write(f"response.{self._events}.delta", f'{self._place},"delta":{json_text(text)}')

    def end(self) -> None:
        """Write the complete text, if there is any."""
        if self.text:
            self.log.write(f"response.{self._events}.done", f'{self._place},"text":{json_text(self.text.text)}')
            self._write_part("done", self._shown_text())

    def _shown_text(self) -> dict[str, str]:
        return {"type": self._kind, "text": self.text.text}

    def _write_part(self, what: str, shown: dict[str, str]) -> None:
        kind = "reasoning_summary_part" if self.part.summary else "content_part"
        self.log.write(f"response.{kind}.{what}", f"{self._place},{members(part=shown)}")

    @property
    def _kind(self) -> str:
        return "summary_text" if self.part.summary else "reasoning_text"

    @property
    def _events(self) -> str:
        return "reasoning_summary_text" if self.part.summary else "reasoning_text"

    @property
    def _place(self) -> str:
        return f'{self.place},"{"summary_index" if self.part.summary else "content_index"}":0'


class ReasoningPartWriter(PartWriter):
    """Write a part of reasoning, unless it has nothing to read, to prove or to return."""

    __slots__ = ("_item", "_open_item", "_part")

    def __init__(self, part: Reasoning, open_item: Callable[[Reasoning], OpenReasoning]) -> None:
        self._part = part
        self._open_item = open_item
        self._item: OpenReasoning | None = None

    @property
    def item(self) -> OpenReasoning | None:
        return self._item

    def begin(self) -> None:
        text, self._part.text = self._part.text, ""
        if self._carries():
            self._opened()
        self._say(text)

    def add(self, delta: PartDelta) -> None:
        self._say(delta.text)

    def end(self, ended: PartEnded) -> None:
        part = self._part
        part.signature, part.item_id = ended.signature or part.signature, ended.item_id or part.item_id
        if self._item is not None or self._carries():
            self._opened().end()

    def _say(self, text: str) -> None:
        if text:
            self._opened().say(text)

    def _carries(self) -> bool:
        part = self._part
        return part.encrypted is not None or part.signature is not None or part.item_id is not None

    def _opened(self) -> OpenReasoning:
        if self._item is None:
            self._item = self._open_item(self._part)
        return self._item


class OpenCall(OpenItem, PartWriter):
    """Write a call of a function or of a custom tool under the name by which the client offered it."""

    __slots__ = ("_text", "call", "call_id", "name", "namespace")

    def __init__(
        self, log: EventLog, index: int, item_id: str, call: ToolCall, call_id: str, name: tuple[str | None, str]
    ) -> None:
        super().__init__(log, index, item_id)
        self.call = call
        self.call_id = call_id
        self.namespace, self.name = name
        self._text = TextPieces()

    def shown(self, status: Status) -> dict[str, Any]:
        kind, field = ("custom_tool_call", "input") if self._is_custom else ("function_call", "arguments")
        found = {
            "type": kind,
            "id": self.item_id,
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            field: self._text.text,
        }
        return found if self.namespace is None else found | {"namespace": self.namespace}

    def begin(self) -> None:
        self._say(self.call.arguments)

    def add(self, delta: PartDelta) -> None:
        self._say(delta.text)

    def end(self, ended: PartEnded) -> None:
        self.call.signature = ended.signature or self.call.signature
        if not self._is_custom and not self._text.text.strip():
            # Clients parse the arguments, and some providers send none for a function that takes none.
            self._say("{}")
        text = json_text(self._text.text)
        if self._is_custom:
            self.log.write("response.custom_tool_call_input.done", f'{self.place},"input":{text}')
        else:
            done = f'{self.place},"name":{json_text(self.name)},"arguments":{text}'
            self.log.write("response.function_call_arguments.done", done)

    @property
    def _is_custom(self) -> bool:
        return self.call.kind == "custom"

    def _say(self, text: str) -> None:
        if text:
            self._text.add(text)
            name = "custom_tool_call_input" if self._is_custom else "function_call_arguments"
            self.log.write(f"response.{name}.delta", f'{self.place},"delta":{json_text(text)}')


def image_call(media: Media) -> dict[str, Any]:
    """Return the item for an image, whose bytes it has as base64."""
    form = (media.media_type or "image/png").removeprefix("image/")
    return {"type": "image_generation_call", "status": "completed", "result": media.data, "output_format": form}
