"""Read bodies and detect disconnected clients at the ASGI level."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from starlette.types import Receive

from router_service.core.errors import ApiError

GRACE_S = 0.05


class ClientDisconnected(Exception):
    """Client disconnected before its response was complete."""


class WhileConnected:
    """Cancel the ``with`` block and raise ``ClientDisconnected`` when the client disconnects.

    The watch begins ``GRACE_S`` after entry. Most short requests end earlier, even under load, and need no task. A
    client that disconnects earlier is detected when the watch begins, since the server repeats the message.
    """

    def __init__(self, watches: DisconnectWatches, receive: Receive) -> None:
        self._watches = watches
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._left = self.over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watches.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        self.over = True
        if self._watcher is not None:
            self._watcher.cancel()
        if self._left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientDisconnected from None

    def begin(self) -> None:
        """Start watching for a disconnect."""
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()


class DisconnectWatches:
    """Start the due watches of one application with a single timer. Used from one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, WhileConnected]] = deque()
        self._timed = False

    def add(self, one: WhileConnected) -> None:
        """Schedule the start of its watch in ``GRACE_S``."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + GRACE_S, one))
        if not self._timed:
            self._timed = True
            loop.call_later(GRACE_S, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, now = self._waiting, loop.time()
        while waiting and (waiting[0][1].over or waiting[0][0] <= now):
            one = waiting.popleft()[1]
            if not one.over:
                one.begin()
        self._timed = bool(waiting)
        if waiting:
            # A timer may fire slightly early; the lower bound prevents a busy loop.
            loop.call_later(max(waiting[0][0] - now, 0.001), self._begin, loop)


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """Return the request body.

    Raises ``ApiError`` 413 beyond ``limit`` bytes and ``ClientDisconnected`` if the body is incomplete.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> ApiError:
    return ApiError("payload_too_large", f"The request body exceeds the limit of {limit:,} bytes; send less")
