"""Read bodies and detect disconnected clients at the ASGI level."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Receive, Scope

from router_service.core.client_connection import CONNECTION_KEY, ClientConnection
from router_service.core.errors import ApiError


class ClientDisconnected(Exception):
    """Client disconnected before its response was complete."""


class WhileConnected:
    """Cancel the ``with`` block and raise ``ClientDisconnected`` when the client disconnects.

    The server calls back, so that an open stream needs neither a task nor a timer for it.
    """

    __slots__ = ("_connection", "_left", "_task")

    def __init__(self, scope: Scope) -> None:
        self._connection: ClientConnection = scope["state"][CONNECTION_KEY]
        self._left = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._connection.lost:
            raise ClientDisconnected
        self._task = task
        self._connection.on_lost = self._cancel

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        self._connection.on_lost = None
        if self._left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise ClientDisconnected from None

    def _cancel(self) -> None:
        self._left = True
        self._task.cancel()


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
