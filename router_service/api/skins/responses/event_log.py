"""Number the events of a stream and write them as server-sent events."""

from __future__ import annotations

from typing import Any

from router_service.core.outgoing_json import outgoing_json

DONE = "data: [DONE]\n\n"


class EventLog:
    """Collect events. The name of each is its ``type`` too, as the Open Responses specification asks for."""

    __slots__ = ("_found", "_number")

    def __init__(self) -> None:
        self._found: list[str] = []
        self._number = 0

    def write(self, name: str, members: str) -> None:
        """Add an event; ``members`` are those of its JSON besides type and number, and end without a comma."""
        self._found.append(f'event: {name}\ndata: {{"type":"{name}","sequence_number":{self._number},{members}}}\n\n')
        self._number += 1

    def end(self) -> None:
        """Add the mark that ends a stream."""
        self._found.append(DONE)

    def take(self) -> bytes:
        """Return what was added since the last call."""
        found = "".join(self._found).encode()
        self._found.clear()
        return found


def members(**fields: Any) -> str:
    """Return ``fields`` as the members of a JSON object on one line."""
    return outgoing_json(fields)[1:-1].decode()
