"""Parse server-sent events from bytes that arrive cut anywhere.

The grammar is that of https://html.spec.whatwg.org/multipage/server-sent-events.html, with four deviations: data stay
bytes, because they may be cut inside a character and their decoder is a JSON parser; an event at the end of the stream
counts without its blank line, because some providers leave it out; an event whose data are empty or ``null`` is
dropped, because it carries nothing; and an error that a server has written without the field ``data`` is read
(``error:`` by llama.cpp until September 2025, ggml-org/llama.cpp #16109; bare JSON by Lemonade, lemonade-sdk/lemonade
#2826), because the stream says nothing else of its failure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from router_service.core.errors import ApiError

DEFAULT_MAX_EVENT_BYTES = 32 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# As numbers: CPython looks for one in a fraction of the time that it needs for bytes of length one.
CARRIAGE_RETURN, LINE_FEED = 13, 10
# A line of data of at least this length is not ``null``.
SHORTEST_SURE_LINE = len(b"data: null") + 1
# A line longer than this is gathered in a buffer that grows in place. Below it, joining copies costs less.
LONG_LINE = 4096
Event = tuple[str | None, bytes]


def _as_error(value: bytes) -> bytes:
    """Return the value of a field ``error`` as the data that other servers send for it."""
    text = value if value.startswith(b"{") else msgspec.json.encode(value.decode(errors="replace"))
    return b'{"error":' + text + b"}"


class EventParser:
    """Parse events incrementally. Comments are skipped, and the data lines of one event are joined by newlines."""

    __slots__ = (
        "_at_start", "_data", "_data_bytes", "_event", "_long", "_max", "_measured", "_measured_data", "_rest",
        "_unprepared",
    )  # fmt: skip
    is_text = True

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        """Refuse an event or a line of more than ``max_event_bytes``, which is at least ``LONG_LINE``."""
        self._max = max_event_bytes
        # The line that is incomplete: its beginning if it is long, and what follows.
        self._long = bytearray()
        self._rest = b""
        self._event: str | None = None
        self._data: list[bytes] = []
        # The lines of which some have been measured, how many, and their bytes.
        self._measured_data = self._data
        self._measured = self._data_bytes = 0
        # The next chunk may begin with a byte order mark, or with the line feed of a carriage return.
        self._unprepared = True
        self._at_start = True

    @property
    def is_within_event(self) -> bool:
        """Return whether the bytes so far end within an event."""
        return bool(self._rest or self._long or self._data)

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes, as (name, data).

        Raises ``ApiError`` for an event that is larger than the limit.
        """
        if self._unprepared or CARRIAGE_RETURN in chunk:
            chunk = self._prepare(chunk)
        if self._long:
            chunk = self._continue_long_line(chunk)
        text = self._rest + chunk
        events: list[Event] = []
        if not self._data and self._event is None:
            blocks = text.split(b"\n\n")
            text = blocks.pop()
            shortest, most = SHORTEST_SURE_LINE, self._max
            for block in blocks:
                # Nearly every event is a line of data, or a name and a line of data: handling them here saves calls.
                if block.startswith(b"data: ") and LINE_FEED not in block and shortest <= len(block) <= most:
                    events.append((None, block[6:]))
                    continue
                if block.startswith(b"event: "):
                    name, _, line = block.partition(b"\n")
                    if line.startswith(b"data: ") and LINE_FEED not in line and shortest <= len(line) <= most:
                        events.append((name[7:].decode(errors="replace") or None, line[6:]))
                        continue
                self._parse_lines((*block.split(b"\n"), b""), events)
        if LINE_FEED in text:
            *lines, text = text.split(b"\n")
            self._parse_lines(lines, events)
        self._rest = text
        if self._data or len(text) > LONG_LINE:
            self._bound_memory()
        return events

    def finish(self) -> list[Event]:
        """Return the event that the end of the stream completes, if there is one. Raises as ``feed`` does."""
        return self.feed(b"\n\n")

    def _prepare(self, chunk: bytes) -> bytes:
        """Return ``chunk`` with line feeds as its only line ends, without a byte order mark at the stream's start."""
        if self._at_start:
            chunk, self._rest = self._rest + chunk, b""
            if chunk != BYTE_ORDER_MARK and BYTE_ORDER_MARK.startswith(chunk):
                self._rest = chunk
                return b""
            self._at_start = self._unprepared = False
            chunk = chunk.removeprefix(BYTE_ORDER_MARK)
        elif self._unprepared:
            # The line has ended at the carriage return already.
            chunk = chunk.removeprefix(b"\n")
            self._unprepared = False
        if chunk.endswith(b"\r"):
            self._unprepared = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _continue_long_line(self, chunk: bytes) -> bytes:
        """Return the line that ``chunk`` ends and what follows it, or nothing while the line goes on."""
        if LINE_FEED in chunk:
            whole = bytes(self._long) + chunk
            self._long.clear()
            return whole
        self._long += chunk
        self._bound_memory()
        return b""

    def _parse_lines(self, lines: Iterable[bytes], events: list[Event]) -> None:
        for line in lines:
            if not line:
                self._complete(events)
                continue
            if line.startswith(b"data: "):
                self._data.append(line[6:])
                continue
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            elif name == b"event":
                self._event = value.removeprefix(b" ").decode(errors="replace") or None
            elif name == b"error":
                self._data.append(_as_error(value.strip()))
            elif name.startswith(b"{") or (self._data[:1] == [b"{"] and line[:1] in b' \t"}'):
                self._data.append(line)

    def _complete(self, events: list[Event]) -> None:
        """Add the event that a blank line ends, if it carries anything."""
        if self._data:
            data = b"\n".join(self._data)
            if len(data) > self._max:
                raise self._too_large()
            if data.strip(b"\n") not in (b"", b"null"):
                events.append((self._event, data))
            self._data = []
        self._event = None

    def _bound_memory(self) -> None:
        """Raise ``ApiError`` if the incomplete event is larger than the limit."""
        if len(self._rest) > LONG_LINE:
            self._long, self._rest = bytearray(self._rest), b""
        if self._measured_data is not self._data:
            self._measured_data, self._measured, self._data_bytes = self._data, 0, 0
        if added := self._data[self._measured :]:
            self._data_bytes += sum(map(len, added)) + len(added)
            self._measured = len(self._data)
        if self._data_bytes + len(self._long) + len(self._rest) > self._max:
            raise self._too_large()

    def _too_large(self) -> ApiError:
        self._long, self._rest, self._data = bytearray(), b"", []
        message = f"The provider's stream has an event of more than {self._max:,} bytes (PORTOLAN_MAX_EVENT_BYTES)"
        return ApiError("provider_unavailable", message)
