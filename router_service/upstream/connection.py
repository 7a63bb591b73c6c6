"""Carry HTTP/1.1 over one connection to a provider: asyncio moves the bytes, httptools (llhttp) parses them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import httptools

from router_service.core.errors import ApiError
from router_service.upstream.decompression import BodyDecompressor, decompressor_of
from router_service.upstream.transport import (
    MAX_ERROR_BYTES,
    StaleConnection,
    body_limit,
    body_size_error,
    connection_error,
    deadline_error,
)

# Limit of a head with its informational responses, and of what frames a body: the line of a chunk's size, and trailers.
MAX_HEAD_BYTES = 128 * 1024
# Reading from the provider pauses when so many bytes of a stream have not been read by its client.
HIGH_WATER_BYTES = 256 * 1024
# Time for the chunk that ends a stream: it follows the last event at once.
DRAIN_S = 1.0
# What each part of a body takes in memory besides its bytes: without it, a body of tiny chunks would take ten times its
# limit.
PART_OVERHEAD = 48
NEVER = float("inf")


class Connection(asyncio.Protocol):
    """Carry one exchange at a time: ``begin``, then ``read_body``, or ``read_head`` and ``next``.

    Failures are raised as ``ApiError``. ``unawaited`` is when the last bytes arrived if nobody waited for them, in
    seconds of ``time.perf_counter``; ``was_paused`` says that the provider had to wait until bytes were read.
    """

    __slots__ = (
        "__weakref__", "_deadline", "_decompressor", "_drain_timer", "_drained", "_error", "_exchanges",
        "_framing_bytes", "_has_head", "_head_bytes", "_keep_alive", "_loop", "_lost", "_parser", "_parts", "_paused",
        "_size", "_streamed", "_timeout_s", "_timer", "_transport", "_waiter", "closed", "complete", "headers",
        "idle_since", "status", "unawaited", "was_paused",
    )  # fmt: skip

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        """Call ``lost`` once, when the connection is closed."""
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._error: ApiError | None = None
        self.closed = False
        self.idle_since = 0.0
        self._exchanges = 0
        self._deadline = NEVER
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
        self._framing_bytes = 0
        self._decompressor: BodyDecompressor | None = None
        self._paused = False
        self.unawaited: float | None = None
        self.was_paused = False
        self._keep_alive = False
        self._drained: Callable[[], None] | None = None

    # Methods of one exchange

    def begin(self, head: bytes, body: bytes, deadline: float, timeout_s: float, *, streamed: bool) -> None:
        """Send a request, of whose ``head`` the content length is missing. It ends at ``deadline``; ``timeout_s``
        seconds will have passed by then.
        """
        self._restart()
        self._exchanges += 1
        self._streamed = streamed
        self._transport.writelines((head, b"%d\r\n\r\n" % len(body), body))
        self._set_deadline(deadline, timeout_s)

    async def read_body(self) -> bytes:
        """Return the body when it is complete."""
        while not self.complete:
            await self._arrival()
            self._waiter = None
            if self._error is not None:
                raise self._error
        return self._drain_parts()

    async def read_head(self) -> None:
        """Wait until ``status`` and ``headers`` have arrived."""
        while not self._has_head:
            await self._arrival()
            self._waiter = None
            if self._error is not None:
                raise self._error

    async def next(self) -> bytes:
        """Return the bytes of the body that have arrived; empty at its end."""
        while not self._parts:
            if self.complete:
                return b""
            await self._arrival()
            self._waiter = None
            if self._error is not None:
                raise self._error
        return self._drain_parts()

    @property
    def reusable(self) -> bool:
        """Return whether another exchange may follow."""
        return self.complete and not self.closed and self._error is None and self._keep_alive and not self._paused

    def fail(self, error: ApiError) -> None:
        """End the exchange with ``error``, and close the connection."""
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()

    def _set_deadline(self, deadline: float, timeout_s: float) -> None:
        """End the exchange at ``deadline``, in seconds of the loop's clock: ``timeout_s`` have passed by then.

        The timer of an earlier exchange serves this one too, because most end long before their deadline.
        """
        self._deadline, self._timeout_s = deadline, timeout_s
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._check_deadline)

    def clear_deadline(self) -> None:
        """Remove the deadline. Its timer goes on, because the next exchange may use it."""
        self._deadline = NEVER

    def cancel_deadline(self) -> None:
        """Remove the deadline and its timer, which takes 0.5 kB: a stream may be open for long after its head."""
        self._deadline = NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_deadline(self) -> None:
        self._timer = None
        remaining = self._deadline - self._loop.time()
        if remaining <= 0:
            self.fail(deadline_error(self._timeout_s))
        elif self._deadline < NEVER:
            # A timer may fire a little early: the minimum prevents a busy loop.
            self._timer = self._loop.call_later(max(remaining, 0.001), self._check_deadline)

    def drain(self, drained: Callable[[], None]) -> None:
        """Drop the rest of the response and call ``drained`` at its end; close the connection after ``DRAIN_S``."""
        if self.complete or self.closed:
            drained()
            return
        self._drain_parts()
        self._drained = drained
        self._drain_timer = self._loop.call_later(DRAIN_S, self.abort)

    def abort(self) -> None:
        """Close the connection without a TLS or TCP shutdown, so that the provider notices at once."""
        if not self.closed:
            self.closed = True
            self._transport.abort()

    def _arrival(self) -> asyncio.Future[None]:
        """Return what ends when more has arrived, or the exchange has failed. Raises the error if it has already."""
        if self._error is not None:
            raise self._error
        self.unawaited = None
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _drain_parts(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._size = [], 0
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return body

    # Callbacks of asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.fail(connection_error("it sent bytes that were not requested"))
            return
        if self._has_head:
            self._framing_bytes += len(data)
        else:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.complete:
                # The response is good, but bytes that nobody asked for have followed it.
                self.abort()
            else:
                self.fail(connection_error(f"its response cannot be parsed: {type(error).__name__}"))
            return
        if self._head_bytes > MAX_HEAD_BYTES and not self._head_fits():
            self.fail(connection_error(f"its header exceeds {MAX_HEAD_BYTES:,} bytes"))
        elif self._framing_bytes > MAX_HEAD_BYTES:
            self.fail(connection_error(f"its chunk sizes or trailers exceed {MAX_HEAD_BYTES:,} bytes"))
        elif self._parts and self._streamed:
            if self._waiter is None:
                self.unawaited = time.perf_counter()
            self._wake()

    def _head_fits(self) -> bool:
        """Return whether the head is complete and small enough: its last bytes may have come with many of the body."""
        if not self._has_head or sum(len(n) + len(v) for n, v in self.headers.items()) > MAX_HEAD_BYTES:
            return False
        self._head_bytes = MAX_HEAD_BYTES
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.complete and self._error is None:
            if exc is None and self._ends_with_connection():
                self._end_body()
            elif self._exchanges > 1 and not self._head_bytes:
                self._error = StaleConnection()
            else:
                reason = type(exc).__name__ if exc else "it was closed before the response was complete"
                self._error = connection_error(reason)
        self._wake()
        self._lost(self)

    def _ends_with_connection(self) -> bool:
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self._has_head and not framed

    def _end_body(self) -> None:
        """Mark the response as complete, unless its compressed data are not."""
        if self._decompressor is not None:
            try:
                self._decompressor.finish()
            except ApiError as error:
                self.fail(error)
                return
        self.complete = True

    # Callbacks of httptools

    def on_message_begin(self) -> None:
        if self.complete:
            # A second response must not be mixed with the first. The parser stops at this error.
            raise ValueError("a response that was not requested")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._has_head = True
        if "content-encoding" in self.headers:
            try:
                self._decompressor = decompressor_of(self.headers["content-encoding"])
            except ApiError as error:
                self.fail(error)
        if self._streamed:
            self._wake()

    def on_body(self, body: bytes) -> None:
        self._framing_bytes = 0
        if self._drained is not None:
            return
        if self._decompressor is not None:
            body = self._decompress(body)
            if not body:
                return
        self._parts.append(body)
        self._size += len(body) + PART_OVERHEAD
        if self._streamed:
            if self._size > HIGH_WATER_BYTES and not self._paused and not self.closed:
                self._paused = self.was_paused = True
                self._transport.pause_reading()
        elif self._size > MAX_ERROR_BYTES and self._size > (limit := body_limit(self.status)):
            self._parts = []
            self.fail(body_size_error(limit))

    def _decompress(self, body: bytes) -> bytes:
        if self._error is not None or self._decompressor is None:
            return b""
        try:
            return self._decompressor.decompress(body)
        except ApiError as error:
            self.fail(error)
            return b""

    def on_message_complete(self) -> None:
        if self.status < 200:
            # 100 Continue, 103 Early Hints: the response follows.
            self.headers.clear()
            return
        self._end_body()
        # The parser forgets this when it begins the next message. A response that came before the whole request was
        # sent leaves the rest of the request on the connection.
        self._keep_alive = self._parser.should_keep_alive() and not self._transport.get_write_buffer_size()
        self._wake()
        if self._drained is not None:
            self._drain_timer.cancel()
            drained, self._drained = self._drained, None
            drained()
