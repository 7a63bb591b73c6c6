"""Parse server-sent events from bytes that arrive cut anywhere."""

from __future__ import annotations

from router_service.core.errors import ApiError

MAX_EVENT_BYTES = 8 * 1024 * 1024


class EventParser:
    """Parse events incrementally. Comments are skipped, and the data lines of one event are joined by newlines."""

    def __init__(self) -> None:
        self._rest = b""
        self._event: str | None = None
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[tuple[str | None, bytes]]:
        """Return the events that ``chunk`` completes, as (name, data).

        Raises ``ApiError`` for a line longer than ``MAX_EVENT_BYTES``.
        """
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ApiError("provider_unavailable", "The provider's stream has a line without an end")
        events: list[tuple[str | None, bytes]] = []
        data = self._data
        # Nearly every event consists of these two kinds of line: handling them here saves a call for each.
        for line in lines:
            if line.startswith(b"data: ") and not line.endswith(b"\r"):
                data.append(line[6:])
            elif not line:
                if data:
                    events.append((self._event, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                self._event = None
            else:
                self._parse_line(line.removesuffix(b"\r"), events)
        return events

    def finish(self) -> list[tuple[str | None, bytes]]:
        """Return the events that the end of the stream completes."""
        events: list[tuple[str | None, bytes]] = []
        self._parse_line(self._rest.removesuffix(b"\r"), events)
        self._rest = b""
        self._parse_line(b"", events)
        return events

    def _parse_line(self, line: bytes, events: list[tuple[str | None, bytes]]) -> None:
        if not line:
            if self._data:
                events.append((self._event, b"\n".join(self._data)))
            self._event = None
            self._data.clear()
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line.startswith(b"event:"):
            self._event = line[6:].strip().decode(errors="replace")
