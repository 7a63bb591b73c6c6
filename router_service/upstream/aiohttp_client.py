"""Call providers through aiohttp, for installations that prefer a library (``PORTOLAN_UPSTREAM_CLIENT=aiohttp``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import aiohttp

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.tls import client_context, describe_connect_error
from router_service.upstream.transport import HttpResponse, connect_timeout_error, connection_error, deadline_error


class AiohttpStream:
    """Implement ``StreamResponse``."""

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
        """Return the bytes that have arrived, at least one; empty at the end."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._error or connection_error(type(error).__name__) from None

    async def read(self) -> bytes:
        """Return the rest of the body."""
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection_error(type(error).__name__) from None

    def abort(self, error: ApiError) -> None:
        """End the response here: ``next`` raises ``error``."""
        self._error = error
        self._response.close()

    def last_byte_at(self, received: float) -> float | None:
        """Return when the last bytes arrived. aiohttp does not say whether it had paused reading before."""
        return received if self._complete is None else min(self._complete, received)

    def finish(self) -> None:
        """Close the response, since aiohttp does not read on by itself."""
        self.close()

    def close(self) -> None:
        """Return the connection to the pool if the response is complete, else close it."""
        self._response.close()


class AiohttpClient:
    """Implement ``Transport``."""

    def __init__(self, connect_timeout_s: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, ssl=client_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
            headers={"user-agent": "portolan"},
        )

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """Return the non-streaming response."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._open(request)
                try:
                    return HttpResponse(response.status, response.headers, await response.read())
                finally:
                    response.close()
        except TimeoutError:
            raise deadline_error(timeout_s) from None

    async def stream(self, request: HttpRequest, timeout_s: float) -> AiohttpStream:
        """Return the response's head; ``next`` reads the body."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(request)
        except TimeoutError:
            raise deadline_error(timeout_s) from None

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
                raise connect_timeout_error() from None
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                raise connection_error(describe_connect_error(error.certificate_error)) from None
            raise connection_error(type(error).__name__) from None
        return AiohttpStream(response)
