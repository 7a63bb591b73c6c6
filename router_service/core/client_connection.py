"""Let the server cancel a request whose client has disconnected, and take its response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

Headers = Sequence[tuple[bytes, bytes]]
# Under this key of a request's ``scope["state"]``, the server passes the ``ClientConnection`` that it came by.
CONNECTION_KEY = "client_connection"


class ClientDisconnected(Exception):
    """Client disconnected before its response was complete."""


class ResponseChannel(Protocol):
    """Take the response to one request, with fewer steps than ASGI's ``receive`` and ``send``. Without a client, and
    after the end of the response, it takes nothing.

    ``must_wait`` says that the client is behind: await ``drain`` before the next ``write``.
    """

    @property
    def must_wait(self) -> bool: ...

    def take_body(self) -> bytes | None:
        """Return the request's body if it has arrived in full and nothing of it was received before."""

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written."""

    def begin(self, status: int, headers: Headers, *, lines: bytes = b"", length: int | None = None) -> None:
        """Keep the head, which is sent with the first part of the body.

        ``lines`` are further headers as HTTP sends them, each with its end, which are not checked. ``length`` is that
        of the body in bytes, where it is known.
        """

    def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; ``more=False`` ends the response."""


class ClientConnection:
    """Represent the connection of a client. The server sets ``task``, which serves the request in progress, and
    ``response``, which takes the response to it.

    As a context manager it cancels the ``with`` block and raises ``ClientDisconnected`` when the client disconnects.
    The server calls ``lose``, so that an open stream needs neither a task nor a timer for it. ASGI itself tells by
    ``receive``, for which an open stream would have to keep a task. ``on_half_closed``, if the request in progress has
    set it, is called when the client has stopped sending: it may have gone, which the next writes will show.
    """

    __slots__ = ("_watched", "lost", "on_half_closed", "response", "task")

    response: ResponseChannel

    def __init__(self) -> None:
        self.lost = False
        self.task: asyncio.Task[None] | None = None
        self.on_half_closed: Callable[[], None] | None = None
        self._watched = False

    def __enter__(self) -> None:
        if self.lost:
            raise ClientDisconnected
        if self.task is None:
            self.task = asyncio.current_task()
        self._watched = True

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        self._watched, self.on_half_closed = False, None
        if self.lost and kind is asyncio.CancelledError and self.task is not None and self.task.uncancel() == 0:
            raise ClientDisconnected from None

    def half_close(self) -> None:
        """Report that the client has stopped sending."""
        if self.on_half_closed is not None:
            self.on_half_closed()

    def lose(self) -> None:
        """Report that the client has disconnected."""
        self.lost = True
        if self._watched and self.task is not None:
            self.task.cancel()
