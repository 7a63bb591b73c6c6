"""An upstream that answers at once: a protocol over raw sockets, since any framework would be the bottleneck."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

from benchmarks.gateway.wire import stream_answer, whole_answer

_WHOLE = whole_answer()
_PIECES = stream_answer()
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Upstream(asyncio.Protocol):
    """Answers each POST whole, or as events of one write each when the body asks for a stream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        end = received.find(b"\r\n\r\n")
        found = _LENGTH.search(received, 0, end) if end >= 0 else None
        if found is None or len(received) < end + 4 + int(found[1]):
            self._received = received
            return
        self._received = b""
        if b'"stream":true' in received or b'"stream": true' in received:
            self._next(iter(_PIECES))
        else:
            self._transport.write(_WHOLE)

    def _next(self, pieces: Iterator[bytes]) -> None:
        piece = next(pieces, None)
        if piece is not None and not self._transport.is_closing():
            self._transport.write(piece)
            self._loop.call_soon(self._next, pieces)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
