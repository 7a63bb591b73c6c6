"""Parse the binary messages of an AWS event stream from bytes that arrive cut anywhere.

A message is a prelude (total length, length of the headers, checksum of both), headers, a payload, and a checksum of
all before it. Source: AWS SDK documentation: Event stream encoding, "application/vnd.amazon.eventstream". The parser of
``botocore`` takes longer for one message than the router may take for a chunk of an answer, and copies all that it has
received with every piece; the tests compare both.
"""

from __future__ import annotations

import binascii
import json
import struct

from router_service.core.answer import STREAM_EXCEPTION
from router_service.core.errors import ApiError
from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES, Event

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct("!III")
_CHECKSUM = struct.Struct("!I")
_SHORTEST = _PRELUDE.size + _CHECKSUM.size
# The specification allows headers of at most 128 kB.
_MAX_HEADERS = 128 * 1024
# Lengths of the values of headers by their type; two types begin with a length of two bytes.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7
_MAX_TEXT = 2000
# The headers of most messages of a stream are the same bytes. More different ones are parsed each time.
_MAX_KNOWN = 32


class AwsEventParser:
    """Parse messages incrementally. Both checksums of each are verified.

    The name of an event is the type of its message; the name of an exception begins with ``STREAM_EXCEPTION``.
    """

    __slots__ = ("_bytes", "_headers_length", "_known", "_length", "_max")

    is_text = False

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        """Refuse a message of more than ``max_event_bytes``."""
        self._max = max_event_bytes
        self._bytes = bytearray()
        # The lengths that the prelude of the incomplete message gives; the first is 0 before the prelude is there.
        self._length = self._headers_length = 0
        self._known: dict[bytes, dict[str, str]] = {}

    @property
    def is_within_event(self) -> bool:
        """Return whether the bytes so far end within an event."""
        return bool(self._bytes)

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes, as (name, payload).

        Raises ``ApiError`` 502 for a message that is damaged, or larger than the limit.
        """
        received = self._bytes
        received += chunk
        size, start = len(received), 0
        found: list[Event] = []
        while True:
            if not self._length:
                if size - start < _PRELUDE.size:
                    break
                self._read_prelude(start)
            end = start + self._length
            if size < end:
                break
            found.append(self._event(bytes(received[start:end])))
            start, self._length = end, 0
        if start:
            del received[:start]
        return found

    def finish(self) -> list[Event]:
        """Return no events: a message that the end of the stream cuts off says nothing."""
        self._bytes.clear()
        return []

    def _read_prelude(self, start: int) -> None:
        prelude = bytes(self._bytes[start : start + _PRELUDE.size])
        length, headers, checksum = _PRELUDE.unpack(prelude)
        if binascii.crc32(prelude[:8]) != checksum:
            raise self._damaged("the checksum of a prelude is wrong")
        if length > self._max:
            message = f"The provider's stream has an event of more than {self._max:,} bytes (PORTOLAN_MAX_EVENT_BYTES)"
            raise self._failure(message)
        if length < _SHORTEST + headers or headers > _MAX_HEADERS:
            raise self._damaged("the lengths of a message contradict each other")
        self._length, self._headers_length = length, headers

    def _event(self, message: bytes) -> Event:
        content, checksum = message[: -_CHECKSUM.size], _CHECKSUM.unpack_from(message, len(message) - _CHECKSUM.size)[0]
        if binascii.crc32(content) != checksum:
            raise self._damaged("the checksum of a message is wrong")
        end = _PRELUDE.size + self._headers_length
        written = content[_PRELUDE.size : end]
        headers = self._known.get(written)
        if headers is None:
            headers = self._read_headers(written)
            if len(self._known) < _MAX_KNOWN:
                self._known[written] = headers
        return _named(headers, content[end:])

    def _read_headers(self, written: bytes) -> dict[str, str]:
        """Return the headers whose values are text."""
        found: dict[str, str] = {}
        at = 0
        try:
            while at < len(written):
                name_end = at + 1 + written[at]
                name, kind, at = written[at + 1 : name_end].decode(), written[name_end], name_end + 1
                length = _FIXED.get(kind)
                if length is None and kind in (_BYTES, _STRING):
                    length, at = int.from_bytes(written[at : at + 2]), at + 2
                if length is None or at + length > len(written):
                    raise ValueError
                if kind == _STRING:
                    found[name] = written[at : at + length].decode()
                at += length
        except (IndexError, ValueError):
            raise self._damaged("the headers of a message are not valid") from None
        return found

    def _damaged(self, reason: str) -> ApiError:
        return self._failure(f"The provider's event stream is damaged: {reason}")

    def _failure(self, message: str) -> ApiError:
        self._bytes.clear()
        self._length = 0
        return ApiError("provider_unavailable", message)


def _named(headers: dict[str, str], payload: bytes) -> Event:
    kind = headers.get(":message-type")
    if kind == "exception":
        return f"{STREAM_EXCEPTION}{headers.get(':exception-type', '')[:_MAX_TEXT]}", payload
    if kind == "error":
        told = {"message": headers.get(":error-message", "")[:_MAX_TEXT]}
        return f"{STREAM_EXCEPTION}{headers.get(':error-code', '')[:_MAX_TEXT]}", json.dumps(told).encode()
    return headers.get(":event-type") or None, payload
