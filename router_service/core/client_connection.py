"""Let the server tell a request that its client has disconnected."""

from __future__ import annotations

from collections.abc import Callable

# Under this key of a request's ``scope["state"]``, the server passes the ``ClientConnection`` that it came by.
CONNECTION_KEY = "client_connection"


class ClientConnection:
    """Say whether a connection is ``lost``; ``on_lost``, if the request in progress has set it, is called then, once.

    ASGI itself tells by ``receive``, for which an open stream would have to keep a task.
    """

    __slots__ = ("lost", "on_lost")

    def __init__(self) -> None:
        self.lost = False
        self.on_lost: Callable[[], None] | None = None

    def lose(self) -> None:
        """Report that the client has disconnected."""
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()
