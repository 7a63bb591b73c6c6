"""Calls to providers: a whole answer or a stream, with typed failures. No redirects, no retries here.

aiohttp, since what the router needs first is that a cancelled call is closed: pyreqwest 0.15, which carries
more, leaves it running (``tests/test_upstream.py`` holds the client to that).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from router_service.contract.errors import ApiError
from router_service.providers.contract import UpstreamRequest


class Response(NamedTuple):
    """A whole answer; ``headers`` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamResponse:
    """An answer whose body is still coming. Close it on every path: that cancels the provider's work."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def next(self) -> bytes:
        """The bytes that have come, at least one; empty at the end. Raises ``ApiError`` when the connection breaks."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _broken(error) from None

    async def read(self) -> bytes:
        """All of the rest."""
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _broken(error) from None

    def close(self) -> None:
        self._response.close()


class UpstreamClient:
    """One connection pool for all providers. ``connect_timeout`` and ``timeout_s`` in seconds."""

    def __init__(self, connect_timeout: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            headers={"user-agent": "portolan"},
        )

    async def send(self, request: UpstreamRequest, timeout_s: float) -> Response:
        """The whole answer. Raises ``ApiError`` on a broken connection or when ``timeout_s`` have passed."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._open(request)
                try:
                    return Response(response.status, response.headers, await response.read())
                finally:
                    response.close()
        except TimeoutError:
            raise _too_late(timeout_s) from None

    async def stream(self, request: UpstreamRequest, timeout_s: float) -> StreamResponse:
        """The answer's head, within ``timeout_s``; the body follows by ``next``. Raises as ``send`` does."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(request)
        except TimeoutError:
            raise _too_late(timeout_s) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _open(self, request: UpstreamRequest) -> StreamResponse:
        try:
            response = await self._session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise ApiError("timeout", "The provider did not accept the connection in time") from None
            raise _broken(error) from None
        return StreamResponse(response)


def _too_late(timeout_s: float) -> ApiError:
    return ApiError("timeout", f"The provider gave no answer within {timeout_s:g} s")


def _broken(error: BaseException) -> ApiError:
    return ApiError("provider_unavailable", f"The connection to the provider broke: {type(error).__name__}")
