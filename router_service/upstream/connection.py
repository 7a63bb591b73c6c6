"""One HTTP/1.1 connection to a provider: asyncio carries the bytes, httptools (llhttp) parses them."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from typing import cast

import httptools

from router_service.core.errors import ApiError
from router_service.upstream.transport import StaleConnection, broken, too_late

MAX_HEAD_BYTES = 128 * 1024
MAX_WHOLE_BYTES = 64 * 1024 * 1024
# A stream that its client reads slowly is read from the provider no further than this.
HIGH_WATER_BYTES = 256 * 1024
# The chunk that ends a stream follows its last event at once.
DRAIN_S = 1.0
NEVER = float("inf")


class Connection(asyncio.Protocol):
    """Carries one exchange at a time: ``begin``, then ``whole`` or ``head`` and ``next``. Failures are ``ApiError``."""

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        """``lost`` is called once when the connection is gone."""
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._error: ApiError | None = None
        self.closed = False
        self.idle_since = 0.0
        self._exchanges = 0
        self._ends = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._restart()
        self.complete = True

    def _restart(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self._head_bytes = 0
        self._has_head = False
        self._parts: list[bytes] = []
        self._size = 0
        self._inflate: Callable[[bytes], bytes] | None = None
        self._paused = False
        # When the last bytes came, if nobody was waiting for them; whether the provider was ever kept waiting.
        self.unawaited: float | None = None
        self.held = False
        self._keep = False
        self._drained: Callable[[], None] | None = None

    # One exchange

    def begin(self, content: Sequence[bytes], *, streamed: bool) -> None:
        """Send a request."""
        self._restart()
        self._exchanges += 1
        self._streamed = streamed
        self._transport.writelines(content)

    async def whole(self) -> bytes:
        """The body, when all of it has come."""
        while not self.complete:
            await self._wait()
        return self._taken()

    async def head(self) -> None:
        """Until ``status`` and ``headers`` have come."""
        while not self._has_head:
            await self._wait()

    async def next(self) -> bytes:
        """The bytes of the body that have come; empty at its end."""
        while not self._parts:
            if self.complete:
                return b""
            await self._wait()
        return self._taken()

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow."""
        return self.complete and not self.closed and self._error is None and self._keep and not self._paused

    def fail(self, error: ApiError) -> None:
        """End the exchange by ``error`` and the connection with it."""
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()

    def expire_at(self, ends: float, timeout_s: float) -> None:
        """End the exchange at ``ends``, in seconds of the loop's clock: ``timeout_s`` have passed by then.

        The timer of an exchange before serves this one too: most end long before their deadline.
        """
        self._ends, self._timeout_s = ends, timeout_s
        if self._timer is not None:
            if self._timer.when() <= ends:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(ends, self._look)

    def keep_on(self) -> None:
        """Forget the deadline."""
        self._ends = NEVER

    def _look(self) -> None:
        self._timer = None
        left = self._ends - self._loop.time()
        if left <= 0:
            self.fail(too_late(self._timeout_s))
        elif self._ends < NEVER:
            # A timer may come a little early: the same moment again, never a busy loop.
            self._timer = self._loop.call_later(max(left, 0.001), self._look)

    def drain(self, drained: Callable[[], None]) -> None:
        """Drop what still comes of the answer; ``drained`` at its end, cut if that takes ``DRAIN_S``."""
        if self.complete or self.closed:
            drained()
            return
        self._taken()
        self._drained = drained
        self._drain_ends = self._loop.call_later(DRAIN_S, self.abort)

    def abort(self) -> None:
        """Cut the connection without a goodbye: the provider sees it at once."""
        if not self.closed:
            self.closed = True
            self._transport.abort()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self.unawaited = None
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _taken(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._size = [], 0
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return body

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.fail(broken("it sent what nobody asked for"))
            return
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, zlib.error) as error:
            self.fail(broken(f"its answer cannot be read: {type(error).__name__}"))
            return
        if not self._has_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self.fail(broken("its header has no end"))
        elif self._parts and self._streamed:
            if self._waiter is None:
                self.unawaited = time.perf_counter()
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.complete and self._error is None:
            if self._until_close():
                self.complete = True
            elif self._exchanges > 1 and not self._head_bytes:
                self._error = StaleConnection()
            else:
                self._error = broken(type(exc).__name__ if exc else "it was closed before the answer was complete")
        self._wake()
        self._lost(self)

    def _until_close(self) -> bool:
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self._has_head and not framed

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._has_head = True
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
        elif encoding != "identity":
            self.fail(broken(f"its encoding {encoding!r} was not asked for"))
        if self._streamed:
            self._wake()

    def on_body(self, body: bytes) -> None:
        if self._drained is not None:
            return
        if self._inflate is not None:
            body = self._inflate(body)
        self._parts.append(body)
        self._size += len(body)
        if self._streamed:
            if self._size > HIGH_WATER_BYTES and not self._paused and not self.closed:
                self._paused = self.held = True
                self._transport.pause_reading()
        elif self._size > MAX_WHOLE_BYTES:
            self.fail(broken(f"its answer exceeds {MAX_WHOLE_BYTES:,} bytes"))

    def on_message_complete(self) -> None:
        if self.status < 200:
            # 100 Continue, 103 Early Hints: the answer follows.
            self.headers.clear()
            return
        self.complete = True
        # Only here: the parser forgets it when it turns to the next message.
        self._keep = self._parser.should_keep_alive()
        self._wake()
        if self._drained is not None:
            self._drain_ends.cancel()
            drained, self._drained = self._drained, None
            drained()
