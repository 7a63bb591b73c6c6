"""Hold an item of an answer while it is written, and write that it was added and is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from router_service.api.skins.responses.event_log import EventLog, members
from router_service.core.events import PartDelta, PartEnded
from router_service.core.outgoing_json import json_text

Status = Literal["in_progress", "completed", "incomplete"]


class OpenItem(ABC):
    """Write one item; ``index`` is its place in the output. Subclasses say what it contains.

    An item that has ended is told as done only when the next one begins or the answer finishes: until then nobody knows
    whether it is complete or was cut off.
    """

    __slots__ = ("index", "item_id", "log", "place", "status")

    def __init__(self, log: EventLog, index: int, item_id: str) -> None:
        self.log = log
        self.index = index
        self.item_id = item_id
        self.status: Status = "in_progress"
        self.place = f'"item_id":{json_text(item_id)},"output_index":{index}'

    @abstractmethod
    def shown(self, status: Status) -> dict[str, Any]:
        """Return the item as the response shows it now."""

    def open(self) -> None:
        """Write that the item was added."""
        self._write("response.output_item.added", "in_progress")

    def close(self, status: Status) -> None:
        """Write that the item is done, once."""
        if self.status == "in_progress":
            self.status = status
            self._write("response.output_item.done", status)

    def _write(self, name: str, status: Status) -> None:
        self.log.write(name, f'"output_index":{self.index},{members(item=self.shown(status))}')


class PartWriter(ABC):
    """Write one part of an answer: what it began with, what was added, and its end."""

    __slots__ = ()

    def begin(self) -> None:  # noqa: B027 (many parts begin with nothing)
        """Write what the part began with."""

    @abstractmethod
    def add(self, delta: PartDelta) -> None:
        """Write ``delta``."""

    @abstractmethod
    def end(self, ended: PartEnded) -> None:
        """Write the end of the part."""


class TextPieces:
    """Collect a text that arrives in pieces."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        """Add ``text`` to the end."""
        self._pieces.append(text)

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def text(self) -> str:
        """Return the text so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""
