"""Bodies in and JSON out at the ASGI level."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import Receive, Send

from router_service.contract.errors import ApiError

_encode = msgspec.json.Encoder().encode


class Disconnected(Exception):
    """The client left before its answer was complete."""


class WhilePresent:
    """``async with``: the body is cancelled, and ``Disconnected`` raised, when the client leaves before its end.

    The watch begins ``GRACE_S`` after entry: most requests end earlier and are spared its task. A
    client that leaves before is noticed then, since the server repeats the message.
    """

    GRACE_S = 0.02

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._left = False

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = loop.call_later(self.GRACE_S, self._begin)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._left and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise Disconnected from None

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The request body. Raises ``ApiError`` 413 beyond ``limit`` bytes, ``Disconnected`` when it is cut off."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def send_json(
    send: Send, status: int, body: Any, generation_id: str, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """One JSON answer."""
    content = _encode(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"x-generation-id", generation_id.encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _too_large(limit: int) -> ApiError:
    return ApiError("payload_too_large", f"The request body exceeds the limit of {limit:,} bytes; send less")
