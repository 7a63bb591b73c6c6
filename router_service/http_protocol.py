"""HTTP/1.1 as uvicorn speaks it, but head and body of an answer leave in one write.

uvicorn writes them one after the other, and uvloop sends each at once: two system calls and two packets, for each of
which the client wakes up.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Beyond it a copy costs more than a call.
MOST_JOINED_BYTES = 64 * 1024


class HttpProtocol(HttpToolsProtocol):
    """For ``uvicorn.run(http=…)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport)))


class JoinedWrites:
    """``transport``, which keeps the head of an answer until its body comes, or until the loop's next turn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Data that looks like a head and is none is merely sent a little later."""
        if self._head:
            if len(data) <= MOST_JOINED_BYTES:
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
        """Send what was kept."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """After what was kept."""
        self.flush()
        self._transport.close()
