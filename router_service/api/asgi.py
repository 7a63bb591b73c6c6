"""Read the bodies of requests at the ASGI level."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive

from router_service.core.client_connection import ClientDisconnected, ResponseChannel
from router_service.core.errors import ApiError


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], limit: int, channel: ResponseChannel | None = None
) -> bytes:
    """Return the request body, at once where it has arrived and the request has a ``channel``.

    Raises ``ApiError`` 413 beyond ``limit`` bytes and ``ClientDisconnected`` if the body is incomplete.
    """
    if channel is not None and (body := channel.take_body()) is not None:
        if len(body) > limit:
            raise _too_large(limit)
        return body
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
