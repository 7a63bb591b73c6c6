"""Calls to providers: a buffered answer or a stream, with typed failures. No redirects, no retries here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import aiohttp

from router_service.contract.errors import ApiError
from router_service.providers.contract import UpstreamRequest


class Response(NamedTuple):
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamResponse:
    """An answer whose body is still coming. Close it on every path: that cancels the provider's work."""

    def __init__(self, response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> None:
        self.status = response.status
        self.headers = headers
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they come. Raises ``ApiError`` when the connection breaks."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
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
    """One connection pool for all providers. ``connect_timeout`` in seconds."""

    def __init__(self, connect_timeout: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            auto_decompress=True,
            headers={"user-agent": "portolan"},
        )

    async def send(self, request: UpstreamRequest, ttft_timeout: float) -> Response:
        """The whole answer. Raises ``ApiError`` on a broken connection or when the deadline has passed."""
        try:
            async with asyncio.timeout(ttft_timeout):
                stream = await self._open(request)
                try:
                    return Response(stream.status, stream.headers, await stream.read())
                finally:
                    stream.close()
        except TimeoutError:
            raise ApiError("timeout", f"The provider gave no answer within {ttft_timeout:g} s") from None

    async def stream(self, request: UpstreamRequest, ttft_timeout: float) -> StreamResponse:
        """The answer's head; the body follows by ``chunks``."""
        try:
            async with asyncio.timeout(ttft_timeout):
                return await self._open(request)
        except TimeoutError:
            raise ApiError("timeout", f"The provider gave no answer within {ttft_timeout:g} s") from None

    async def close(self) -> None:
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
        return StreamResponse(response, {name.lower(): value for name, value in response.headers.items()})


def _broken(error: BaseException) -> ApiError:
    return ApiError("provider_unavailable", f"The connection to the provider broke: {type(error).__name__}")
