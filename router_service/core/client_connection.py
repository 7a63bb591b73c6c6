"""Let the server cancel a request whose client has disconnected."""

from __future__ import annotations

import asyncio

# Under this key of a request's ``scope["state"]``, the server passes the ``ClientConnection`` that it came by.
CONNECTION_KEY = "client_connection"


class ClientDisconnected(Exception):
    """Client disconnected before its response was complete."""


class ClientConnection:
    """Represent the connection of a client. ``task`` serves its request in progress; the server sets it.

    As a context manager it cancels the ``with`` block and raises ``ClientDisconnected`` when the client disconnects.
    The server calls ``lose``, so that an open stream needs neither a task nor a timer for it. ASGI itself tells by
    ``receive``, for which an open stream would have to keep a task.
    """

    __slots__ = ("_watched", "lost", "task")

    def __init__(self) -> None:
        self.lost = False
        self.task: asyncio.Task[None] | None = None
        self._watched = False

    def __enter__(self) -> None:
        if self.lost:
            raise ClientDisconnected
        if self.task is None:
            self.task = asyncio.current_task()
        self._watched = True

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        self._watched = False
        if self.lost and kind is asyncio.CancelledError and self.task is not None and self.task.uncancel() == 0:
            raise ClientDisconnected from None

    def lose(self) -> None:
        """Report that the client has disconnected."""
        self.lost = True
        if self._watched and self.task is not None:
            self.task.cancel()
