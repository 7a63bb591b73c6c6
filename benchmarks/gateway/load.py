"""Load: connections that each send a request, wait for its whole answer and send the next."""

from __future__ import annotations

import asyncio
import re
import time
from typing import NamedTuple, cast

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class LoadResult(NamedTuple):
    """``rate`` in requests a second, latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, latencies: list[float], faults: list[str]) -> None:
        self._request = request
        self._latencies = latencies
        self._faults = faults
        self._received: list[bytes] = []
        self._missing: int | None = None
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._begin(data)
        elif self._missing is not None:
            self._missing -= len(data)
        self._received.append(data)
        if self._missing == 0 if not self._chunked else data.endswith(b"0\r\n\r\n"):
            self._latencies.append(time.perf_counter() - self._sent)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._faults.append(f"connection lost: {exc}")

    def _begin(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if not data.startswith(b"HTTP/1.1 200") or end < 0:
            self._faults.append(data[:300].decode(errors="replace"))
        length = _LENGTH.search(data, 0, end)
        self._chunked = length is None
        self._missing = int(length[1]) - (len(data) - end - 4) if length else None

    def _send(self) -> None:
        self._received.clear()
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def _run(port: int, request: bytes, connections: int, seconds: float) -> LoadResult:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    faults: list[str] = []
    opened = [
        await loop.create_connection(lambda: _Connection(request, latencies, faults), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(min(1.0, seconds / 2))
    latencies.clear()
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - begun
    measured = sorted(latencies)
    if faults or not measured:
        raise RuntimeError(f"the load met {len(faults)} faults, first: {(faults or ['no answer'])[0]}")
    for transport, _ in opened:
        transport.abort()
    count = len(measured)
    return LoadResult(count / elapsed, measured[count // 2] * 1e3, measured[min(count - 1, count * 99 // 100)] * 1e3)


def measure(port: int, request: bytes, connections: int, seconds: float) -> LoadResult:
    """Load for ``seconds`` after a warm-up. Raises ``RuntimeError`` when an answer is not a 200."""
    return uvloop.run(_run(port, request, connections, seconds))
