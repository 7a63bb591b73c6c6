"""Send the response of one request: its head and the first part of its body in one write, and each later part in one.

uvicorn writes the head and the body of a response separately, and uvloop sends each write at once: that takes two
system calls and two packets, and each packet wakes the client up.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from router_service.core.client_connection import Headers

# Control characters, which would end a header or a head early (RFC 9110, section 5.5). A tab is allowed.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
# Delimiters that no name may have (RFC 9110, section 5.6.2).
_DELIMITERS = re.compile(rb'[\x00-\x20\x7f()<>@,;:\[\]={}\\"/?]').search
_WITHOUT_BODY = (204, 304)
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_END = b"0\r\n\r\n"


class SmallEvent(asyncio.Event):
    """Implement ``asyncio.Event`` in a fifth of the memory: it has a deque, which takes 0.6 kB when it is empty."""

    def __init__(self) -> None:
        self._value = False
        self._waiters = []  # type: ignore[assignment]


class ResponseCycle(RequestResponseCycle):
    """Receive one request and send its response, by ASGI's ``send`` or as a ``ResponseChannel``."""

    # The head, until the first part of the body is sent with it.
    _head = b""
    # HTTP/1.0 has no chunks: a body of no declared length ends with the connection.
    _until_close = False

    async def receive(self) -> Any:
        """Return the next message; without waiting where the rest of the body has arrived."""
        body = None if self.response_complete else self.take_body()
        if body is None:
            return await super().receive()
        return {"type": "http.request", "body": body, "more_body": False}

    def take_body(self) -> bytes | None:
        if self.more_body or self.waiting_for_100_continue or self.disconnected or not self.message_event.is_set():
            return None
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    async def send(self, message: Any) -> None:
        """Send ``message``. Raises ``RuntimeError`` where the application breaks the rules of ASGI or of HTTP."""
        if self.flow.write_paused:
            await self.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started and kind == "http.response.start":
            self.begin(message["status"], message.get("headers", ()))
            if self.chunked_encoding is not False:
                # The body may come long after, so that the head waits for one iteration alone.
                asyncio.get_running_loop().call_soon(self._send_head)
        elif self.response_started and not self.response_complete and kind == "http.response.body":
            self.write(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"the application sent {kind!r} out of order")

    @property
    def must_wait(self) -> bool:
        return self.flow.write_paused

    async def drain(self) -> None:
        if not self.disconnected:
            await self.flow.drain()

    def begin(self, status: int, headers: Headers, *, lines: bytes = b"", length: int | None = None) -> None:
        head = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            checked = _checked_name(name)
            if checked not in _FRAMING or self._keeps(checked, value):
                head.append(_checked_line(checked, value))
        if length is not None:
            self.expected_content_length, self.chunked_encoding = length, False
            head.append(b"content-length: %d\r\n" % length)
        head.append(lines)
        if not self.keep_alive:
            head.append(b"connection: close\r\n")
        if self.chunked_encoding is None and status not in _WITHOUT_BODY and self.scope["method"] != "HEAD":
            if self.scope["http_version"] == "1.0":
                self._until_close = True
            else:
                self.chunked_encoding = True
                head.append(b"transfer-encoding: chunked\r\n")
        head.append(b"\r\n")
        self.response_started, self.waiting_for_100_continue = True, False
        self._head = b"".join(head)

    def _keeps(self, name: bytes, value: bytes) -> bool:
        """Note what a header says of the framing; return whether its line is sent as it is."""
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif name == b"connection" and b"close" in value.lower():
            # ``begin`` adds the line.
            self.keep_alive = False
            return False
        return True

    def write(self, body: bytes, *, more: bool) -> None:
        if self.disconnected or self.response_complete:
            return
        parts = self._framed(body, more=more)
        if self._head:
            parts = (self._head, *parts)
            self._head = b""
        if parts:
            self.transport.writelines(parts)
        if more:
            return
        if self.expected_content_length:
            raise RuntimeError("the application sent less than the content length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _framed(self, body: bytes, *, more: bool) -> tuple[bytes, ...]:
        """Return what frames a part of the body, and the part."""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            return ()
        if self.chunked_encoding:
            end = b"" if more else _END
            return (b"%x\r\n" % len(body), body, b"\r\n" + end) if body else (end,) if end else ()
        if self._until_close:
            return (body,) if body else ()
        self.expected_content_length -= len(body)
        if self.expected_content_length < 0:
            raise RuntimeError("the application sent more than the content length")
        return (body,) if body else ()

    def _send_head(self) -> None:
        if self._head and not self.transport.is_closing():
            head, self._head = self._head, b""
            self.transport.write(head)


@lru_cache(maxsize=256)
def _checked_name(name: bytes) -> bytes:
    """Return ``name`` in lower case. Raises ``RuntimeError`` for one that HTTP does not allow."""
    if not name or _DELIMITERS(name):
        raise RuntimeError(f"{name[:40]!r} is no name of a header")
    return name.lower()


@lru_cache(maxsize=1024)
def _checked_line(name: bytes, value: bytes) -> bytes:
    """Return the line of a header. Raises ``RuntimeError`` for a value that would end it early."""
    if _FORBIDDEN(value):
        raise RuntimeError(f"the value of the header {name!r} has control characters")
    return b"%b: %b\r\n" % (name, value)
