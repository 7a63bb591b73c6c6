"""Call providers with httpx2, which supports proxies. It is used wherever speed is not the first concern."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any, cast

import h11
import httpcore2
import httpx2

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.connection import DRAIN_S, HIGH_WATER_BYTES
from router_service.upstream.decompression import decompressor_of
from router_service.upstream.direct import IDLE_S
from router_service.upstream.proxies import Proxies
from router_service.upstream.tls import client_context, describe_connect_error
from router_service.upstream.transport import (
    HttpResponse,
    RouterExhausted,
    StaleConnection,
    check_head,
    connect_timeout_error,
    connection_error,
    deadline_error,
    is_exhausted,
    read_bounded,
)

OWN_HEADERS = (("user-agent", "portolan"), ("accept-encoding", "identity"))
UNLIMITED = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_S)
# Time in which a connection shows bytes that it has received already, before it is used again.
SURPLUS_S = 0.001


class Httpx2Stream:
    """Implement ``StreamResponse``. A task reads ahead, so that the arrival of the last byte is known."""

    def __init__(self, response: httpx2.Response, max_event_bytes: int) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers.items())
        self.max_event_bytes = max_event_bytes
        self._response = response
        self._parts: list[bytes] = []
        self._size = 0
        self._error: ApiError | None = None
        self._complete = False
        self._released = False
        self._waiter: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._was_paused = False
        self._unawaited: float | None = None
        self.task = asyncio.create_task(self._receive())

    async def next(self) -> bytes:
        """Return the bytes that have arrived, at least one; empty at the end."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._complete and self._released:
                return b""
            self._unawaited = None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        body = b"".join(self._parts)
        self._parts, self._size = [], 0
        self._room.set()
        return body

    async def read(self) -> bytes:
        """Return the rest of the body, at most ``body_limit(status)`` bytes."""
        return await read_bounded(self)

    def abort(self, error: ApiError) -> None:
        """End the response here: ``next`` raises ``error``."""
        self._fail(error)
        self.task.cancel()

    def last_byte_at(self, received: float) -> float | None:
        """Return when the last bytes arrived; ``None`` if the provider had to wait until earlier ones were read."""
        if self._was_paused:
            return None
        return received if self._unawaited is None else self._unawaited

    def finish(self) -> None:
        """Close the response, but first read the bytes that frame its end if they are still missing."""
        if not self._complete:
            timer = asyncio.get_running_loop().call_later(DRAIN_S, self.task.cancel)
            self.task.add_done_callback(lambda _: timer.cancel())

    def close(self) -> None:
        """Return the connection to the pool if the response is complete, else close it."""
        if not self._complete:
            self.task.cancel()

    async def _receive(self) -> None:
        stream = cast(httpx2.AsyncByteStream, self._response.stream)
        try:
            decompressor = decompressor_of(self.headers.get("content-encoding", ""))
            async with aclosing(cast(AsyncGenerator[bytes], stream.__aiter__())) as chunks:
                async for chunk in chunks:
                    self._append(chunk if decompressor is None else decompressor.decompress(chunk))
                    while self._size > HIGH_WATER_BYTES:
                        self._was_paused = True
                        self._room.clear()
                        await self._room.wait()
            if decompressor is not None:
                decompressor.finish()
            self._complete = True
            await _close_if_surplus(self._response)
        except ApiError as error:
            self._fail(error)
        except Exception as error:
            # Whatever a library raises here, the reader must not wait for ever.
            self._fail(_broken(error))
        finally:
            with suppress(httpx2.TransportError):
                await stream.aclose()
            self._released = True
            self._wake()

    def _append(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)
            if self._waiter is None:
                self._unawaited = time.perf_counter()
            self._wake()

    def _fail(self, error: ApiError) -> None:
        if self._error is None and not self._complete:
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Httpx2Client:
    """Implement ``Transport``."""

    def __init__(self, connect_timeout_s: float, max_event_bytes: int, proxies: Proxies) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._max_event_bytes = max_event_bytes
        self._proxies = proxies
        self._tls = client_context()
        # One pool for each proxy, and one without: these are httpx2's own layers below its client, which would keep
        # cookies of providers and send them with the requests of other callers.
        self._pools: dict[str | None, httpx2.AsyncHTTPTransport] = {}
        self._receiving: set[asyncio.Task[None]] = set()

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """Return the non-streaming response."""
        response: Httpx2Stream | None = None
        try:
            async with asyncio.timeout(timeout_s):
                response = await self.stream(request, timeout_s)
                return HttpResponse(response.status, response.headers, await response.read())
        except TimeoutError:
            raise deadline_error(timeout_s) from None
        finally:
            if response is not None:
                response.close()

    async def stream(self, request: HttpRequest, timeout_s: float) -> Httpx2Stream:
        """Return the response's head; ``next`` reads the body."""
        headers = tuple(request.headers.items())
        check_head(request.url, headers)
        call = _Call(timeout_s, self._connect_timeout_s)
        sent = httpx2.Request(
            "POST",
            request.url,
            headers=[*OWN_HEADERS, *headers],
            content=request.body,
            extensions={"trace": call.trace},
        )
        try:
            async with call.limit:
                answer = await self._pool(request.url).handle_async_request(sent)
        except TimeoutError:
            raise call.timeout_error() from None
        except (httpx2.TransportError, OSError) as error:
            raise (StaleConnection() if call.was_stale(error) else _broken(error)) from None
        response = Httpx2Stream(answer, self._max_event_bytes)
        self._receiving.add(response.task)
        response.task.add_done_callback(self._receiving.discard)
        return response

    async def close(self) -> None:
        """Close all connections."""
        receiving = tuple(self._receiving)
        for task in receiving:
            task.cancel()
        await asyncio.gather(*receiving, return_exceptions=True)
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, url: str) -> httpx2.AsyncHTTPTransport:
        rule = self._proxies.rule_for(url)
        key = rule.url if rule else None
        if key not in self._pools:
            proxy = None
            if rule is not None:
                tls = self._tls if rule.url.startswith("https:") else None
                proxy = httpx2.Proxy(rule.url, ssl_context=tls)
            self._pools[key] = httpx2.AsyncHTTPTransport(
                verify=self._tls, trust_env=False, http2=False, limits=UNLIMITED, proxy=proxy, retries=0
            )
        return self._pools[key]


class _Call:
    """Follow one call until its head has arrived: while it connects, the limit on connecting applies as well."""

    def __init__(self, timeout_s: float, connect_timeout_s: float) -> None:
        now = asyncio.get_running_loop().time()
        self._timeout_s = timeout_s
        self._deadline = now + timeout_s
        self._connecting_decides = connect_timeout_s < timeout_s
        self._connects = False
        self._connected = False
        self.limit = asyncio.timeout_at(now + min(timeout_s, connect_timeout_s))

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Note what httpx2 does. This is the callback of its extension ``trace``."""
        if event.endswith("connect_tcp.started"):
            self._connects = True
        elif event.endswith("send_request_headers.started") and info["request"].method == b"POST":
            self._connected = True
            self.limit.reschedule(self._deadline)

    def timeout_error(self) -> ApiError:
        """Return the error for the limit that has passed."""
        if self._connecting_decides and not self._connected:
            return connect_timeout_error()
        return deadline_error(self._timeout_s)

    def was_stale(self, error: Exception) -> bool:
        """Return whether a kept connection was closed before its response.

        httpx2 does not tell whether the response had begun: a head that is cut off counts as well.
        """
        if self._connects:
            return False
        closed = isinstance(error, httpx2.RemoteProtocolError) and "disconnected" in str(error)
        return closed or isinstance(error, httpx2.NetworkError)


async def _close_if_surplus(response: httpx2.Response) -> None:
    """Close the connection if it holds more than the response: the surplus would answer another caller's request.

    httpx2 has no public way to see what its parser has read too much, so this asks the parser itself. Where that fails,
    the connection is closed.
    """
    network: httpcore2.AsyncNetworkStream = response.extensions["network_stream"]
    try:
        parser: h11.Connection = response.stream._httpcore_stream._stream._connection._h11_state  # type: ignore[union-attr]
    except AttributeError:
        await network.aclose()
        return
    if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
        # The connection ends with this response.
        return
    surplus = bool(parser.trailing_data[0])
    if not surplus:
        # TLS may have decrypted more already, which the socket does not show.
        with suppress(httpcore2.ReadTimeout):
            await network.read(1, timeout=SURPLUS_S)
            surplus = True
    if surplus:
        parser.send_failed()


def _broken(error: Exception) -> ApiError:
    """Return the error for a connection that failed, with the reason that is at the end of httpx2's chain of causes."""
    if isinstance(error, httpx2.ProxyError):
        return connection_error(f"the proxy refused to connect: {str(error)[:100]!r}")
    cause: BaseException = error
    while (below := cause.__cause__ or cause.__context__) is not None and not isinstance(cause, ssl.SSLError):
        cause = below
    if is_exhausted(cause):
        return RouterExhausted()
    return connection_error(describe_connect_error(cause))
