"""The default client: ``Connection``s kept open per origin. Why not a library's: ``docs/speed.md``."""

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
from router_service.upstream.tls import client_context, failure
from router_service.upstream.transport import HttpResponse, broken, no_connection, too_late

# Below the keep-alive of common servers (uvicorn 5 s aside, which closes in time to be noticed).
IDLE_S = 15.0


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class DirectStream:
    """A ``StreamResponse``."""

    def __init__(self, pool: Pool, origin: Origin, connection: Connection) -> None:
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self.next = connection.next
        self._pool = pool
        self._origin = origin
        self._connection = connection
        self._open = True

    def cut(self, error: ApiError) -> None:
        """End the answer here by ``error``."""
        self._connection.fail(error)

    async def read(self) -> bytes:
        """All of the rest."""
        parts = []
        while part := await self.next():
            parts.append(part)
        return b"".join(parts)

    def ended(self, taken: float) -> float | None:
        """When the last bytes came."""
        connection = self._connection
        if connection.held:
            return None
        return taken if connection.unawaited is None else connection.unawaited

    def finish(self) -> None:
        """Like ``close``, of an answer whose last event has come: what frames its end may still be on the way."""
        if self._open:
            self._open = False
            self._connection.drain(lambda: self._pool.give_back(self._origin, self._connection))

    def close(self) -> None:
        """Give the connection back if the answer is complete, else cut it."""
        if self._open:
            self._open = False
            self._pool.give_back(self._origin, self._connection)


class Pool:
    """Idle connections by origin, the last used first."""

    def __init__(self, connect_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls = client_context()

    def take(self, origin: Origin) -> Connection | None:
        """An idle connection that is still open."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                if time.monotonic() - connection.idle_since < IDLE_S:
                    return connection
                connection.abort()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep the connection if another exchange may follow on it."""
        if connection.reusable:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        for connection in tuple(self._all):
            connection.abort()

    async def connect(self, origin: Origin, timeout_s: float) -> Connection:
        """A new connection, within ``timeout_s`` and the pool's own limit. Raises ``ApiError``."""
        tls = self._tls if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(min(timeout_s, self._connect_timeout)):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._all.discard), origin.host, origin.port, ssl=tls
                )
        except TimeoutError:
            raise (too_late(timeout_s) if timeout_s < self._connect_timeout else no_connection()) from None
        except (OSError, ValueError) as error:
            raise broken(failure(error)) from None
        self._all.add(connection)
        return connection


class DirectClient:
    """An ``UpstreamClient``. ``connect_timeout`` in seconds."""

    def __init__(self, connect_timeout: float) -> None:
        self._pool = Pool(connect_timeout)

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """The whole answer."""
        origin, connection = await self._begin(request, timeout_s, streamed=False)
        try:
            body = await connection.whole()
            return HttpResponse(connection.status, connection.headers, body)
        finally:
            connection.keep_on()
            self._pool.give_back(origin, connection)

    async def stream(self, request: HttpRequest, timeout_s: float) -> DirectStream:
        """The answer's head; the body follows."""
        origin, connection = await self._begin(request, timeout_s, streamed=True)
        try:
            await connection.head()
        except BaseException:
            connection.abort()
            raise
        finally:
            connection.keep_on()
        return DirectStream(self._pool, origin, connection)

    async def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    async def _begin(self, request: HttpRequest, timeout_s: float, *, streamed: bool) -> tuple[Origin, Connection]:
        """Send ``request``; the deadline counts from here, connecting included."""
        origin, head = _prepared(request.url, tuple(request.headers.items()))
        ends = asyncio.get_running_loop().time() + timeout_s
        connection = self._pool.take(origin) or await self._pool.connect(origin, timeout_s)
        connection.begin((head, b"%d\r\n\r\n" % len(request.body), request.body), streamed=streamed)
        connection.expire_at(ends, timeout_s)
        return origin, connection


@lru_cache(maxsize=8192)
def _prepared(url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
    """Origin, and the request's head up to the value of its content length. Raises ``ApiError``."""
    parts = urlsplit(url)
    scheme, host = parts.scheme, parts.hostname or ""
    port = parts.port or (443 if scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = (("host", parts.netloc.rpartition("@")[2]), ("user-agent", "portolan"), ("accept-encoding", "identity"))
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*own, *headers)), "content-length: "]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise broken("its address or key holds characters that no header may hold")
    return Origin(scheme, host, port), "\r\n".join(lines).encode("ascii")
