"""Call providers directly over HTTP/1.1 connections that are kept open per origin.

This is the default client, and its scope is the hot path: HTTP/1.1 without proxies. ``docs/speed.md`` gives the reasons
for not using a library's; ``httpx2_client.py`` serves what is out of scope.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.connection import Connection
from router_service.upstream.tls import client_context, describe_connect_error
from router_service.upstream.transport import (
    HttpResponse,
    RouterExhausted,
    check_head,
    connect_timeout_error,
    connection_error,
    deadline_error,
    is_exhausted,
    read_bounded,
)

# Below the keep-alive of common servers, except uvicorn: it closes after 5 s, early enough to be noticed.
IDLE_S = 15.0


class Origin(NamedTuple):
    """Identify a server by which connections are pooled."""

    scheme: str
    host: str
    port: int


class DirectStream:
    """Implement ``StreamResponse``."""

    __slots__ = ("_connection", "_open", "_origin", "_pool", "headers", "max_event_bytes", "next", "status")

    def __init__(self, pool: ConnectionPool, origin: Origin, connection: Connection, max_event_bytes: int) -> None:
        self.max_event_bytes = max_event_bytes
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self.next = connection.next
        self._pool = pool
        self._origin = origin
        self._connection = connection
        self._open = True

    def abort(self, error: ApiError) -> None:
        """End the response here: ``next`` raises ``error``."""
        self._connection.fail(error)

    async def read(self) -> bytes:
        """Return the rest of the body, at most ``body_limit(status)`` bytes."""
        return await read_bounded(self)

    def last_byte_at(self, received: float) -> float | None:
        """Return when the last bytes arrived; ``None`` if the provider had to wait until earlier ones were read."""
        connection = self._connection
        if connection.was_paused:
            return None
        return received if connection.unawaited is None else connection.unawaited

    def finish(self) -> None:
        """Close the response, but first drop the bytes that frame its end if they are still missing."""
        if self._open:
            self._open = False
            self._connection.drain(lambda: self._pool.release(self._origin, self._connection))

    def close(self) -> None:
        """Return the connection to the pool if the response is complete, else close it."""
        if self._open:
            self._open = False
            self._pool.release(self._origin, self._connection)


class ConnectionPool:
    """Keep idle connections by origin, and hand out the last used first."""

    def __init__(self, connect_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls = client_context()

    def acquire(self, origin: Origin) -> Connection | None:
        """Return an idle connection that is still open, or ``None``."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                if time.monotonic() - connection.idle_since < IDLE_S:
                    return connection
                connection.abort()
        return None

    def release(self, origin: Origin, connection: Connection) -> None:
        """Keep the connection if another exchange may follow on it, else close it."""
        if connection.reusable:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """Close all connections."""
        for connection in tuple(self._all):
            connection.abort()

    async def connect(self, origin: Origin, timeout_s: float) -> Connection:
        """Open a connection, within ``timeout_s`` and the pool's own limit. Raises ``ApiError``."""
        tls = self._tls if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(min(timeout_s, self._connect_timeout_s)):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._all.discard), origin.host, origin.port, ssl=tls
                )
        except TimeoutError:
            expired = deadline_error(timeout_s) if timeout_s < self._connect_timeout_s else connect_timeout_error()
            raise expired from None
        except (OSError, ValueError) as error:
            if is_exhausted(error):
                raise RouterExhausted from None
            raise connection_error(describe_connect_error(error)) from None
        self._all.add(connection)
        return connection


class DirectClient:
    """Implement ``Transport``."""

    def __init__(self, connect_timeout_s: float, max_event_bytes: int) -> None:
        self._pool = ConnectionPool(connect_timeout_s)
        self._max_event_bytes = max_event_bytes

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """Return the non-streaming response."""
        origin, head = _prepare_head(request.url, tuple(request.headers.items()))
        # The deadline counts from here, connecting included.
        deadline = asyncio.get_running_loop().time() + timeout_s
        connection = self._pool.acquire(origin) or await self._pool.connect(origin, timeout_s)
        connection.begin(head, request.body, deadline, timeout_s, streamed=False)
        try:
            body = await connection.read_body()
            return HttpResponse(connection.status, connection.headers, body)
        finally:
            connection.clear_deadline()
            self._pool.release(origin, connection)

    async def stream(self, request: HttpRequest, timeout_s: float) -> DirectStream:
        """Return the response's head; ``next`` reads the body."""
        origin, head = _prepare_head(request.url, tuple(request.headers.items()))
        deadline = asyncio.get_running_loop().time() + timeout_s
        connection = self._pool.acquire(origin) or await self._pool.connect(origin, timeout_s)
        connection.begin(head, request.body, deadline, timeout_s, streamed=True)
        try:
            await connection.read_head()
        except BaseException:
            connection.abort()
            raise
        finally:
            connection.cancel_deadline()
        return DirectStream(self._pool, origin, connection, self._max_event_bytes)

    async def close(self) -> None:
        """Close all connections."""
        self._pool.close()


@lru_cache(maxsize=8192)
def _prepare_head(url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
    """Return the origin, and the request's head up to the value of its content length.

    Raises ``ApiError`` for a header that cannot be sent.
    """
    check_head(url, headers)
    parts = urlsplit(url)
    scheme, host = parts.scheme, parts.hostname or ""
    port = parts.port or (443 if scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = (("host", parts.netloc.rpartition("@")[2]), ("user-agent", "portolan"), ("accept-encoding", "identity"))
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*own, *headers)), "content-length: "]
    return Origin(scheme, host, port), "\r\n".join(lines).encode("ascii")
