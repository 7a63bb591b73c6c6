"""Keep an idle stream open by comments, which proxies and SDKs count as activity.

The policy of the chat dialect: a comment after each gap, from the request until the last byte. SDKs cut a connection
that is idle for 5 s (the read timeout of the reference's Python SDK), so every gap is shorter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

KEEPALIVE = b": OPENROUTER PROCESSING\n\n"
INTERVAL_S = 4.0


class KeepAliveWriter:
    """Write events, and a comment whenever nothing was written for ``interval_s`` seconds.

    It only ever writes: the pending read of the provider's stream is not touched. A comment goes out between two
    writes, each of which has to hold complete events, and never while one is under way: a client that reads slowly
    is not idle. Use it as an ``async with`` block.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], interval_s: float = INTERVAL_S) -> None:
        self._write = write
        self._interval = interval_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None
        self._is_writing = False
        self._last = 0.0

    async def __aenter__(self) -> KeepAliveWriter:
        self._last = self._loop.time()
        self._timer = self._loop.call_at(self._last + self._interval, self._tick)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        comment, self._comment = self._comment, None
        if comment is not None:
            # A comment that is half written would break the stream: it ends early only with the whole request.
            if error is not None:
                comment.cancel()
            await asyncio.gather(comment, return_exceptions=True)

    async def write(self, events: bytes) -> None:
        """Write complete ``events``, after a comment that is under way. Raises what the writing of either raised."""
        self._is_writing = True
        try:
            if self._comment is not None:
                await self._comment
                self._comment = None
            await self._write(events)
        finally:
            self._is_writing = False
            self._last = self._loop.time()

    def _tick(self) -> None:
        now = self._loop.time()
        comment = self._comment
        is_free = not self._is_writing and (comment is None or (comment.done() and comment.exception() is None))
        due = self._last + self._interval
        if due <= now:
            if is_free:
                self._comment = self._loop.create_task(self._send_comment())
            due = now + self._interval
        # The timer is set once an interval, not once an event: an event that was written meanwhile moves it.
        self._timer = self._loop.call_at(due, self._tick)

    async def _send_comment(self) -> None:
        await self._write(KEEPALIVE)
