"""Read the bodies of requests at the ASGI level."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from router_service.api.body_compression import check_encoding, decompress_body
from router_service.core.client_connection import ClientDisconnected, ResponseChannel
from router_service.core.errors import ApiError
from router_service.core.large_bodies import translate
from router_service.core.large_copies import joined


class HeadRequests:
    """Serve ``HEAD`` wherever ``GET`` is served, by the same code. The server leaves the body of the response out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def take_arrived_body(channel: ResponseChannel, headers: Mapping[bytes, bytes], limit: int) -> bytes | None:
    """Return the request body if it has arrived and is not compressed; ``None`` if it has to be read.

    Raises ``ApiError`` 413 beyond ``limit`` bytes.
    """
    if b"content-encoding" in headers or (body := channel.take_body()) is None:
        return None
    if len(body) > limit:
        raise _too_large(limit)
    return body


class ArrivingBodies:
    """Bound the bytes of the request bodies that one process is receiving, together.

    A body that arrives with its head is not counted: it has at most some 100 kB.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0

    def take(self, size: int) -> None:
        """Count ``size`` more bytes. Raises ``ApiError`` 503 if they are too many."""
        self.bytes += size
        if self.bytes > self.max_bytes:
            message = f"This router is receiving more than {self.max_bytes:,} bytes of request bodies; try again"
            raise ApiError("provider_overloaded", message, retry_after=1)


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int, arriving: ArrivingBodies) -> bytes:
    """Return the request body, decompressed.

    Raises ``ApiError`` 413 beyond ``limit`` bytes, compressed or not, and those of ``decompress_body`` and
    ``ArrivingBodies``; ``ClientDisconnected`` if the body is incomplete.
    """
    encoding = headers.get(b"content-encoding")
    if encoding is not None:
        check_encoding(encoding)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            part = message.get("body", b"")
            size += len(part)
            arriving.take(len(part))
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            if not message.get("more_body"):
                body = parts[0] if len(parts) == 1 else await translate(size, joined, parts)
                parts.clear()
                return body if encoding is None else await decompress_body(body, encoding, limit)
    finally:
        arriving.bytes -= size


def _too_large(limit: int) -> ApiError:
    return ApiError("payload_too_large", f"The request body exceeds the limit of {limit:,} bytes; send less")
