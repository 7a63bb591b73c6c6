"""Turn the events of an answer to the items of a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from router_service.api.skins.responses.answer_text import text_in_place
from router_service.api.skins.responses.event_log import EventLog
from router_service.api.skins.responses.item_ids import item_id_of, made_id, unique_call_id
from router_service.api.skins.responses.message_items import (
    OpenMessage,
    RefusalContentWriter,
    TextContentWriter,
    phase_of,
)
from router_service.api.skins.responses.open_items import OpenItem, PartWriter
from router_service.api.skins.responses.other_items import (
    FixedItem,
    OpenCall,
    OpenReasoning,
    ReasoningPartWriter,
    image_call,
)
from router_service.api.skins.responses.reasoning_tokens import signature_token
from router_service.core.errors import ApiError
from router_service.core.events import PartBegan, PartDelta, PartEnded, PartProgressed
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.wire.responses import DIALECT

# The end of a stream repeats all of it, so the answer is held: this bounds its characters.
MAX_CHARACTERS = 64 * 1024 * 1024
_object = msgspec.json.Decoder(dict[str, Any])
# Reasons for which an answer ended before the model did.
CUT = frozenset({"length", "content_filter"})


class _MediaWriter(PartWriter):
    """Collect a medium, which is written at its end."""

    __slots__ = ("_answer", "_part")

    def __init__(self, answer: AnswerWriter, part: Media) -> None:
        self._answer = answer
        self._part = part

    def add(self, delta: PartDelta) -> None:
        # Each addition copies what was there, but a medium arrives in few pieces.
        part = self._part
        part.data = (part.data or "") + delta.data if delta.data else part.data
        part.transcript = (part.transcript or "") + delta.transcript if delta.transcript else part.transcript

    def end(self, ended: PartEnded) -> None:  # noqa: ARG002 - media are not signed
        if self._part.kind == "image" and self._part.data:
            self._answer.add_fixed("ig", image_call(self._part))
        else:
            self._answer.add_text(text_in_place(self._part))


class AnswerWriter:
    """Write one answer into ``log``. Items may interleave: each has a place of its own in the output.

    ``namespaces`` has the namespace and the name of each tool that was offered under another name.
    """

    __slots__ = (
        "_call_ids",
        "_ended",
        "_exclude_reasoning",
        "_generation_id",
        "_ids",
        "_items",
        "_log",
        "_message",
        "_namespaces",
        "_open",
        "_running",
        "_size",
    )  # fmt: skip

    def __init__(
        self,
        log: EventLog,
        generation_id: str,
        namespaces: Mapping[str, tuple[str, str]],
        *,
        exclude_reasoning: bool = False,
    ) -> None:
        self._log = log
        self._generation_id = generation_id
        self._namespaces = namespaces
        self._exclude_reasoning = exclude_reasoning
        self._items: list[OpenItem] = []
        self._open: dict[int, PartWriter] = {}
        self._ended: list[OpenItem] = []
        self._message: OpenMessage | None = None
        self._call_ids: set[str] = set()
        self._ids: set[str] = set()
        # The items of tools that run at the provider, by its id of them; ``None`` for one that is complete.
        self._running: dict[str, FixedItem | None] = {}
        self._size = 0

    def begin(self, event: PartBegan) -> None:
        """Open a part."""
        writer = self._writer(msgspec.structs.replace(event.part))
        if writer is not None:
            self._open[event.index] = writer
            writer.begin()

    def add(self, event: PartDelta) -> None:
        """Add to an open part. Raises ``ApiError`` for an answer that is too long to be held."""
        writer = self._open.get(event.index)
        if writer is not None:
            self._size += len(event.text) + len(event.data) + len(event.transcript)
            if self._size > MAX_CHARACTERS:
                raise ApiError("provider_unavailable", "The answer is too long; ask for less with max_output_tokens")
            writer.add(event)

    def progress(self, event: PartProgressed) -> None:
        """Write how far an item is that the provider makes itself; the first step begins it."""
        part, own = event.part, event.part.item_id
        content = _content_of(part)
        if content is None or own is None:
            return
        if own not in self._running:
            self._leave_message()
            item = FixedItem(self._log, len(self._items), self._hosted_id(part, content), content)
            self._append(item)
            self._running[own] = item
        running = self._running[own]
        if running is not None:
            running.progress(event.step, event.fields)

    def end(self, event: PartEnded) -> None:
        """Close a part."""
        writer = self._open.pop(event.index, None)
        if writer is not None:
            writer.end(event)
            item = writer if isinstance(writer, OpenCall) else getattr(writer, "item", None)
            if isinstance(item, OpenCall) or (isinstance(item, OpenReasoning) and not item.open_count):
                self._ended.append(item)

    def finish(self, reason: str) -> None:
        """Close all items; the last one of an answer that was cut off is incomplete."""
        for index in [*self._open]:
            self.end(PartEnded(choice=0, index=index))
        running = [item for item in self._running.values() if item is not None]
        for item in running:
            item.give_up()
        left = [*self._ended, *running, *([self._message] if self._message is not None else ())]
        self._ended, self._message, self._running = [], None, {}
        cut = self._items[-1] if self._items and reason in CUT else None
        for item in sorted(left, key=lambda one: one.index):
            item.close("incomplete" if item is cut else "completed")
        if cut is None:
            self._add_signatures()

    def output(self) -> list[dict[str, Any]]:
        """Return the items of the response; one that is not done is incomplete."""
        return [item.shown("incomplete" if item.status == "in_progress" else item.status) for item in self._items]

    def add_fixed(self, kind: str, content: dict[str, Any], item_id: str | None = None) -> None:
        """Add an item that is complete."""
        self._leave_message()
        index = len(self._items)
        item = FixedItem(self._log, index, item_id or made_id(kind, self._generation_id, index), content)
        self._append(item)
        self._ended.append(item)

    def add_text(self, text: str) -> None:
        """Add a text to the message, if there is any."""
        content = TextContentWriter(Text(text=text), self._opened_message)
        content.begin()
        content.end(PartEnded(choice=0, index=0))

    def _append(self, item: OpenItem) -> None:
        """Add an item to the output: what has ended before it is complete."""
        for ended in self._ended:
            ended.close("completed")
        self._ended.clear()
        self._items.append(item)
        item.open()

    def _leave_message(self) -> None:
        message, self._message = self._message, None
        if message is not None:
            message.was_left = True
            if not message.open_count:
                message.close("completed")

    def _opened_message(self, part: Text | Refusal) -> OpenMessage:
        if self._message is not None and self._message.part_id != part.item_id:
            self._leave_message()
        if self._message is None:
            item_id = self._item_id("msg", part)
            self._message = OpenMessage(self._log, len(self._items), item_id, part.item_id, phase_of(part))
            self._append(self._message)
        return self._message

    def _item_id(self, kind: str, part: AnyPart) -> str:
        """Return an id that no other item of the answer has."""
        made = made_id(kind, self._generation_id, len(self._items))
        found = item_id_of(kind, part.item_id, part.origin, made)
        found = made if found in self._ids else found
        self._ids.add(found)
        return found

    def _writer(self, part: AnyPart) -> PartWriter | None:
        """Return what writes ``part``, or ``None`` for a part that this API has no item for."""
        match part:
            case Text():
                return TextContentWriter(part, self._opened_message)
            case Refusal():
                return RefusalContentWriter(part, self._opened_message)
            case Reasoning():
                return None if self._exclude_reasoning else ReasoningPartWriter(part, self._reasoning)
            case ToolCall(kind="function" | "custom"):
                return self._call(part)
            case Media():
                return _MediaWriter(self, part)
            case Opaque():
                self._opaque(part)
        return None

    def _reasoning(self, part: Reasoning) -> OpenReasoning:
        last = self._items[-1] if self._items else None
        if isinstance(last, OpenReasoning) and last.status == "in_progress" and last.continues(part):
            self._ended = [item for item in self._ended if item is not last]
            return last
        self._leave_message()
        proof = msgspec.structs.replace(part, text="")
        item = OpenReasoning(self._log, len(self._items), self._item_id("rs", part), proof)
        self._append(item)
        return item

    def _call(self, part: ToolCall) -> OpenCall:
        self._leave_message()
        index = len(self._items)
        call_id = unique_call_id(part.call_id, self._generation_id, index, self._call_ids)
        item_id = self._item_id("ctc" if part.kind == "custom" else "fc", part)
        name = self._namespaces.get(part.name) or (None, part.name)
        item = OpenCall(self._log, index, item_id, part, call_id, name)
        self._append(item)
        return item

    def _opaque(self, part: Opaque) -> None:
        content = _content_of(part)
        if content is None:
            self.add_text(text_in_place(part))
            return
        running = self._running.get(part.item_id or "")
        if running is not None:
            self._running[part.item_id or ""] = None
            running.complete(content)
            self._ended.append(running)
            return
        self.add_fixed(_kind_of(content), content, self._hosted_id(part, content))

    def _hosted_id(self, part: Opaque, content: dict[str, Any]) -> str:
        kind, own = _kind_of(content), content.get("id")
        own = own if isinstance(own, str) else part.item_id
        return item_id_of(kind, own, part.origin, own or made_id(kind, self._generation_id, len(self._items)))

    def _add_signatures(self) -> None:
        """Add reasoning that carries the signatures of calls: a call has no field for one."""
        for call in [one for one in self._items if isinstance(one, OpenCall)]:
            if call.call.signature:
                token = signature_token(call.call, call.call_id)
                self.add_fixed("rs", {"type": "reasoning", "summary": [], "encrypted_content": token})
        for item in self._ended:
            item.close("completed")
        self._ended.clear()


def _content_of(part: Opaque) -> dict[str, Any] | None:
    """Return the item of this dialect that ``part`` is, or ``None`` for what another dialect made."""
    try:
        return _object.decode(part.raw) if part.dialect == DIALECT else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _kind_of(content: dict[str, Any]) -> str:
    kind = content.get("type")
    return kind if isinstance(kind, str) else "item"
