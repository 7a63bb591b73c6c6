"""Write reasoning, calls, images and the items that a provider of this dialect made itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from router_service.api.skins.responses.event_log import EventLog, members
from router_service.api.skins.responses.open_items import OpenItem, PartWriter, Status, TextPieces
from router_service.api.skins.responses.reasoning_tokens import encrypted_content
from router_service.core.events import PartDelta, PartEnded
from router_service.core.outgoing_json import json_text
from router_service.core.parts import Media, Reasoning, ToolCall

# What the item of a tool that runs at the provider says before it has ended.
_RUNNING = frozenset({"in_progress", "searching", "generating", "interpreting", "calling"})


class FixedItem(OpenItem):
    """Write an item that the provider made: it is known in full when it begins, or is replaced when it is complete."""

    __slots__ = ("_content",)

    def __init__(self, log: EventLog, index: int, item_id: str, content: dict[str, Any]) -> None:
        super().__init__(log, index, item_id)
        self._content = content

    def shown(self, status: Status) -> dict[str, Any]:
        if status == "in_progress" or self._content.get("status") in _RUNNING:
            return self._content | {"id": self.item_id, "status": status}
        # A call that the provider ran may have failed; it says so itself.
        return {"status": "completed"} | self._content | {"id": self.item_id}

    def progress(self, step: str, fields: Mapping[str, Raw]) -> None:
        """Write how far the provider is, in the provider's own words."""
        own = f",{members(**fields)}" if fields else ""
        self.log.write(step, f"{self.place}{own}")

    def complete(self, content: dict[str, Any]) -> None:
        """Take the complete item."""
        self._content = content

    def give_up(self) -> None:
        """Say that the tool has failed, if it has not ended."""
        if self._content.get("status") in (None, *_RUNNING):
            self._content = self._content | {"status": "failed"}


class _ReasoningText:
    """Write one text of a reasoning item: a piece of its summary or of its content."""

    __slots__ = ("_events", "_kind", "_log", "_part_events", "_place", "pieces", "summary")

    def __init__(self, log: EventLog, place: str, index: int, *, summary: bool) -> None:
        self.summary = summary
        self.pieces = TextPieces()
        self._log = log
        self._kind = "summary_text" if summary else "reasoning_text"
        self._events = "reasoning_summary_text" if summary else "reasoning_text"
        self._part_events = "reasoning_summary_part" if summary else "content_part"
        self._place = f'{place},"{"summary" if summary else "content"}_index":{index}'
        self._write_part("added")

    def shown(self) -> dict[str, str]:
        """Return the text as the item shows it."""
        return {"type": self._kind, "text": self.pieces.text}

    def say(self, text: str) -> None:
        """Write that ``text`` was added."""
        self.pieces.add(text)
        self._log.write(f"response.{self._events}.delta", f'{self._place},"delta":{json_text(text)}')

    def end(self) -> None:
        """Write the complete text."""
        self._log.write(f"response.{self._events}.done", f'{self._place},"text":{json_text(self.pieces.text)}')
        self._write_part("done")

    def _write_part(self, what: str) -> None:
        self._log.write(f"response.{self._part_events}.{what}", f"{self._place},{members(part=self.shown())}")


class OpenReasoning(OpenItem):
    """Write reasoning. Its token is complete at its end alone, because a signature may follow the text.

    ``part`` is what the token carries: a provider of this dialect makes several parts of one item, which share its id.
    """

    __slots__ = ("_texts", "open_count", "part")

    def __init__(self, log: EventLog, index: int, item_id: str, part: Reasoning) -> None:
        super().__init__(log, index, item_id)
        self.part = part
        self.open_count = 0
        self._texts: list[_ReasoningText] = []

    def shown(self, status: Status) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "reasoning", "id": self.item_id, "status": status}
        found["summary"] = [one.shown() for one in self._texts if one.summary]
        if content := [one.shown() for one in self._texts if not one.summary]:
            found["content"] = content
        if status != "in_progress":
            # One text belongs to one signature; of several the token could not tell where each ends.
            only = self._texts[0].pieces.text if len(self._texts) == 1 and not self._texts[0].summary else None
            found["encrypted_content"] = encrypted_content(self.part, only)
        return found if self.part.format is None else found | {"format": self.part.format}

    def continues(self, part: Reasoning) -> bool:
        """Return whether ``part`` belongs to the same item of the provider."""
        own = self.part
        return part.item_id is not None and (part.item_id, part.origin, part.format) == (
            own.item_id,
            own.origin,
            own.format,
        )

    def merge(self, part: Reasoning) -> None:
        """Take what ``part`` proves."""
        self.part.encrypted = part.encrypted or self.part.encrypted
        self.part.signature = part.signature or self.part.signature
        self.part.item_id = part.item_id or self.part.item_id

    def new_text(self, *, summary: bool) -> _ReasoningText:
        """Begin a text."""
        index = sum(one.summary is summary for one in self._texts)
        text = _ReasoningText(self.log, self.place, index, summary=summary)
        self._texts.append(text)
        return text


class ReasoningPartWriter(PartWriter):
    """Write a part of reasoning, unless it has nothing to read, to prove or to return."""

    __slots__ = ("_open_item", "_part", "_text", "item")

    def __init__(self, part: Reasoning, open_item: Callable[[Reasoning], OpenReasoning]) -> None:
        self._part = part
        self._open_item = open_item
        self._text: _ReasoningText | None = None
        self.item: OpenReasoning | None = None

    def begin(self) -> None:
        if self._carries():
            self._opened()
        self._say(self._part.text)

    def add(self, delta: PartDelta) -> None:
        self._say(delta.text)

    def end(self, ended: PartEnded) -> None:
        part = self._part
        part.signature, part.item_id = ended.signature or part.signature, ended.item_id or part.item_id
        if self._text is not None:
            self._text.end()
        if self.item is not None or self._carries():
            item = self._opened()
            item.merge(part)
            item.open_count -= 1

    def _say(self, text: str) -> None:
        if text:
            if self._text is None:
                self._text = self._opened().new_text(summary=self._part.summary)
            self._text.say(text)

    def _carries(self) -> bool:
        part = self._part
        return part.encrypted is not None or part.signature is not None or part.item_id is not None

    def _opened(self) -> OpenReasoning:
        if self.item is None:
            self.item = self._open_item(self._part)
            self.item.open_count += 1
        return self.item


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
