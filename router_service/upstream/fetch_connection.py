"""Make the connections of the fetcher with httpcore2: each to an address that was judged.

The library takes a second to import, so that it is imported with the first medium that is fetched.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2

from router_service.upstream.address_rules import (
    SCHEME_PORTS,
    FetchedBody,
    FetchFailed,
    FetchRules,
    FetchTarget,
    Resolve,
    check_address,
)
from router_service.upstream.tls import describe_connect_error

HEADERS = [(b"user-agent", b"portolan"), (b"accept", b"*/*"), (b"accept-encoding", b"identity")]
REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def get(
    target: FetchTarget, rules: FetchRules, resolve: Resolve, tls: ssl.SSLContext | None, max_bytes: int
) -> FetchedBody | str:
    """Return the response to ``GET``, or the address that the server redirects to.

    Raises ``FetchFailed`` for any other response, and where the host, its address or its connection is at fault.
    """
    # The pool serves one request, so that no connection outlives its judgement.
    pool = httpcore2.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=1,
        max_keepalive_connections=0,
        network_backend=_JudgingBackend(rules, resolve),
    )
    address = httpcore2.URL(scheme=target.scheme, host=target.url_host, port=target.port, target=target.path)
    sent = [(b"host", _host_header(target)), *HEADERS]
    try:
        async with pool, pool.stream("GET", address, headers=sent) as response:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in REDIRECTS:
                if "location" not in headers:
                    raise FetchFailed(f"its server answers {response.status} without an address")
                return headers["location"].strip()
            if response.status != 200:
                raise FetchFailed(f"its server answers {response.status}")
            return FetchedBody(headers, await _read(response, headers, max_bytes))
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
        raise FetchFailed(f"its server did not answer ({describe_connect_error(_innermost(error))})") from None


def _innermost(error: BaseException) -> BaseException:
    """Return the error of the certificate that caused ``error``, else ``error``."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause or error


class _JudgingBackend(httpcore2.AsyncNetworkBackend):
    """Connect to addresses that were judged. One is made for each request."""

    def __init__(self, rules: FetchRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (part of the contract)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        host = host.strip("[]")
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise FetchFailed("its host is not known to the name server") from None
        # One forbidden address is enough: a name that has some is not a public one.
        judged = [str(check_address(address, host, self._rules)) for address in found]
        if not judged:
            raise FetchFailed("its host is not known to the name server")
        for place, address in enumerate(judged):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if place + 1 == len(judged):
                    raise
        raise AssertionError("the loop returns or raises")


async def _read(response: httpcore2.Response, headers: dict[str, str], max_bytes: int) -> bytes:
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise FetchFailed(f"its server compresses it with {encoding[:40]}, which was not asked for")
    size = headers.get("content-length", "0")
    too_large = f"it has more than {max_bytes:,} bytes, the limit for the media of one request"
    if size.isascii() and size.isdigit() and len(size) < 20 and int(size) > max_bytes:
        raise FetchFailed(too_large)
    chunks: list[bytes] = []
    left = max_bytes
    async for chunk in response.aiter_stream():
        left -= len(chunk)
        if left < 0:
            raise FetchFailed(too_large)
        chunks.append(chunk)
    if not chunks:
        raise FetchFailed("it is empty")
    return b"".join(chunks)


def _host_header(target: FetchTarget) -> bytes:
    usual = SCHEME_PORTS[target.scheme] == target.port
    return (target.url_host if usual else f"{target.url_host}:{target.port}").encode()
