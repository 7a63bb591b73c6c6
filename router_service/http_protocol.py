"""Extend uvicorn's HTTP/1.1 protocol so that the head and the body of a response are sent in one write.

uvicorn writes them separately, and uvloop sends each write at once. That takes two system calls and two packets, and
each packet wakes the client up.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Above this size, copying the body costs more than a second system call.
MAX_JOINED_BYTES = 64 * 1024


class HttpProtocol(HttpToolsProtocol):
    """Wrap the transport of each connection in ``JoinedWrites``. Pass this class to ``uvicorn.run(http=…)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport)))


class JoinedWrites:
    """Wrap ``transport`` and buffer the head of a response until its body, or until the event loop's next iteration."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # uvicorn asks for it at each request; ``__getattr__`` takes ten times as long.
        self.is_closing = transport.is_closing
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write or buffer ``data``. Body data that looks like a head is sent slightly later, which does no harm."""
        if self._head:
            if len(data) <= MAX_JOINED_BYTES:
                data = self._head + data
                self._head = b""
            else:
                self.flush()
        elif data.startswith(b"HTTP/1."):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send the buffered head, if there is one."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Flush, then close the transport."""
        self.flush()
        self._transport.close()
