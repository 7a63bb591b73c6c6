"""Turn the items of an answer into events, the same way for a stream and for a non-streaming response."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Metered,
)
from router_service.providers.formats.openai_responses.errors import failed_response
from router_service.providers.formats.openai_responses.item_readers import (
    CallReader,
    HostedReader,
    Item,
    ItemReader,
    MessageReader,
    ReasoningReader,
    id_of,
    string_of,
)
from router_service.providers.formats.openai_responses.usage import ResponseMeters
from router_service.providers.service_tier import served_tier
from router_service.providers.wire_format import DecodeContext

CALLS = ("function_call", "custom_tool_call")
# Source: the type ``IncompleteDetails`` of the ``openai`` package 3.54. Any other reason is an error.
INCOMPLETE: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_UNFINISHED = "The provider's stream ended before its answer was complete"


class _OpenItem:
    """Hold an item that has begun: its ``type``, its number in ``output`` and its id, as far as they are known."""

    __slots__ = ("item_id", "number", "reader", "type")

    def __init__(self, item: Item, number: int | None, reader: ItemReader) -> None:
        self.type = string_of(item.get("type"))
        self.item_id, self.number, self.reader = id_of(item), number, reader


class ResponseReader:
    """Make the events of one answer. ``state`` is ``closed`` after its end.

    An item is found again by its id, else by its number in ``output``: some servers send other ids in every event, or
    the same number for all items.
    """

    __slots__ = ("_began", "_calls", "_context", "_ended_ids", "_ended_types", "_meters", "_open", "_parts", "state")

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._meters = ResponseMeters()
        self._open: list[_OpenItem] = []
        self._ended_ids: set[str] = set()
        self._ended_types: Counter[str] = Counter()
        self._parts = self._calls = 0
        self._began = False
        self.state: Literal["open", "closed"] = "open"

    def begin(self, response: dict[str, Any]) -> list[Event]:
        """Read the head of the response; a second one has its usage alone."""
        found: list[Event] = []
        tier = served_tier(response.get("service_tier"))
        if not self._began:
            self._began = True
            found.append(Began(upstream_id=id_of(response), service_tier=tier))
        if self._meters.update(response):
            found.append(Metered(self._meters.usage(), tier))
        return found

    def add_item(self, item: Any, number: int | None) -> list[Event]:
        """Begin an item; one that has begun already, or is of no type, says nothing."""
        if not isinstance(item, dict) or not string_of(item.get("type")):
            return []
        item_id = id_of(item)
        if item_id in self._ended_ids or (item_id and any(one.item_id == item_id for one in self._open)):
            return []
        return [*self._ensure_begun(), *self._start(item, number)[1]]

    def find(self, types: tuple[str, ...], item_id: Any, number: int | None) -> _OpenItem | None:
        """Return the open item of one of ``types`` with this id, else with this number, else the last one."""
        known = [one for one in self._open if one.type in types]
        if isinstance(item_id, str) and item_id:
            for one in known:
                if one.item_id == item_id:
                    return one
        if number is not None:
            return next((one for one in reversed(known) if one.number == number), None)
        return known[-1] if known else None

    def opened(self, types: tuple[str, ...], item_id: Any, number: int | None) -> tuple[_OpenItem | None, list[Event]]:
        """Return the item that a delta belongs to, begun now if nothing has begun it, and the events of that.

        It is ``None`` for an item that has ended.
        """
        found = self.find(types, item_id, number)
        if found is not None:
            return found, []
        if isinstance(item_id, str) and item_id in self._ended_ids:
            return None, []
        started, events = self._start({"type": types[0], "id": item_id if isinstance(item_id, str) else None}, number)
        return started, [*self._ensure_begun(), *events]

    def progress(self, kind: str, step: str, body: dict[str, Any], number: int | None) -> list[Event]:
        """Read an event that tells how far an open item of type ``kind`` is."""
        found = self.find((kind,), body.get("item_id"), number)
        return found.reader.progress(step, body) if found and isinstance(found.reader, HostedReader) else []

    def end_item(self, item: Any, number: int | None) -> list[Event]:
        """Read a complete item: one that had not begun begins and ends, and one that had ended says nothing."""
        kind = string_of(item.get("type")) if isinstance(item, dict) else ""
        item_id = id_of(item) if kind else None
        if not kind or item_id in self._ended_ids:
            return []
        found = self._ensure_begun()
        open_item = self.find((kind,), item_id, number)
        if open_item is None:
            open_item, events = self._start(item, number)
            found += events
        return found + self._finish(open_item, item)

    def finish(self, response: dict[str, Any], fallback: str) -> list[Event]:
        """Read the complete response, and close the answer. ``fallback`` is its status if it does not name one."""
        found = self.begin(response)
        native = string_of(response.get("status")) or fallback
        if native not in ("completed", "incomplete"):
            return found + self.fail(failed_response(response))
        found += self._rest_of(response.get("output"))
        for one in list(self._open):
            found += self._finish(one, None)
        details = response.get("incomplete_details")
        told = string_of(details.get("reason")) if isinstance(details, dict) else ""
        reason: FinishReason = "tool_calls" if self._calls else "stop"
        if native == "incomplete":
            native = told or native
            reason = INCOMPLETE.get(native, "error")
        self.state = "closed"
        return [*found, Finished(choice=0, reason=reason, native=native), Ended()]

    def close(self) -> list[Event]:
        """Return the events that close the answer after its stream, none if it is closed: without its end it failed."""
        return [] if self.state == "closed" else self.fail(ApiError("provider_unavailable", _UNFINISHED))

    def fail(self, error: ApiError) -> list[Event]:
        """Return the events that close an answer that broke."""
        # An item of the provider's own is nothing before it is complete.
        written = [one for one in self._open if not isinstance(one.reader, HostedReader)]
        found = [event for one in written for event in self._finish(one, None)]
        self.state = "closed"
        return [*found, Failed(error)]

    def _rest_of(self, output: Any) -> list[Event]:
        """Read those items of the complete response that have not ended.

        An item whose id is not known is one that has ended if as many of its type have.
        """
        found: list[Event] = []
        seen: Counter[str] = Counter()
        ended = self._ended_types.copy()
        for number, item in enumerate(output if isinstance(output, list) else ()):
            kind = string_of(item.get("type")) if isinstance(item, dict) else ""
            seen[kind] += 1
            if seen[kind] > ended[kind]:
                found += self.end_item(item, number)
        return found

    def _start(self, item: Item, number: int | None) -> tuple[_OpenItem, list[Event]]:
        kind, origin = item["type"], self._context.origin
        events: list[Event] = []
        reader: ItemReader
        if kind == "message":
            reader = MessageReader(item, origin, self._next_index)
        elif kind == "reasoning":
            reader = ReasoningReader(item, origin, self._next_index)
        elif kind in CALLS:
            self._calls += 1
            reader = call = CallReader(item, self._calls - 1, self._context, self._next_index)
            events = call.begin()
        else:
            reader = HostedReader(item, origin, self._next_index)
        started = _OpenItem(item, number, reader)
        self._open.append(started)
        return started, events

    def _finish(self, one: _OpenItem, item: Item | None) -> list[Event]:
        self._open.remove(one)
        self._ended_types[one.type] += 1
        self._ended_ids |= {found for found in (one.item_id, id_of(item or {})) if found}
        return one.reader.finish(item)

    def _ensure_begun(self) -> list[Event]:
        return [] if self._began else self.begin({})

    def _next_index(self) -> int:
        self._parts += 1
        return self._parts - 1
