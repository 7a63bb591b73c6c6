"""The same over aiohttp, for installations that want a library's client (``PORTOLAN_UPSTREAM_CLIENT=aiohttp``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import aiohttp

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.tls import client_context, failure
from router_service.upstream.transport import HttpResponse, broken, no_connection, too_late


class AiohttpStream:
    """A ``StreamResponse``."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._error: ApiError | None = None
        self._complete: float | None = None
        response.content.on_eof(self._completed)

    def _completed(self) -> None:
        self._complete = time.perf_counter()

    async def next(self) -> bytes:
        """The bytes that have come, at least one; empty at the end."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._error or broken(type(error).__name__) from None

    async def read(self) -> bytes:
        """All of the rest."""
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise broken(type(error).__name__) from None

    def cut(self, error: ApiError) -> None:
        """End the answer here by ``error``."""
        self._error = error
        self._response.close()

    def ended(self, taken: float) -> float | None:
        """When the last bytes came. aiohttp does not say whether it has stopped reading meanwhile."""
        return taken if self._complete is None else min(self._complete, taken)

    def finish(self) -> None:
        """aiohttp reads on for nobody."""
        self.close()

    def close(self) -> None:
        """Give the connection back if the answer is complete, else cut it."""
        self._response.close()


class AiohttpClient:
    """An ``UpstreamClient``. ``connect_timeout`` in seconds."""

    def __init__(self, connect_timeout: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, ssl=client_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            headers={"user-agent": "portolan"},
        )

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """The whole answer."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._open(request)
                try:
                    return HttpResponse(response.status, response.headers, await response.read())
                finally:
                    response.close()
        except TimeoutError:
            raise too_late(timeout_s) from None

    async def stream(self, request: HttpRequest, timeout_s: float) -> AiohttpStream:
        """The answer's head; the body follows."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(request)
        except TimeoutError:
            raise too_late(timeout_s) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _open(self, request: HttpRequest) -> AiohttpStream:
        try:
            response = await self._session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise no_connection() from None
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                raise broken(failure(error.certificate_error)) from None
            raise broken(type(error).__name__) from None
        return AiohttpStream(response)
