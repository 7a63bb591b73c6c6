"""Define the interface of an HTTP client for providers, and the errors of its connections."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest

# Largest body of a non-streaming response, and of any response once it is decompressed.
MAX_BODY_BYTES = 64 * 1024 * 1024
# Largest body of an error. A page of a proxy has some 100 kB; of a longer one nothing would be told anyway.
MAX_ERROR_BYTES = 1024 * 1024
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN))
# Names that a request must not set by itself, because its transport does.
TRANSPORT_HEADERS = frozenset(("host", "content-length", "transfer-encoding", "connection", "accept-encoding"))


class StaleConnection(ApiError):
    """Report that a kept connection was closed before the first byte of the response.

    The provider has most likely closed it while it was idle.
    """

    def __init__(self) -> None:
        super().__init__("provider_unavailable", "The provider closed a connection that was kept open")


class DeadlineMissed(ApiError):
    """Report that a deadline of the caller has passed, unlike a 504, which the provider itself sends."""

    def __init__(self, message: str) -> None:
        super().__init__("timeout", message)


class RouterExhausted(ApiError):
    """Report that this machine has no file descriptor, port or memory left for a connection: no fault of a provider."""

    def __init__(self) -> None:
        message = "The router has no file descriptors or ports left for a connection to a provider; try again"
        super().__init__("provider_overloaded", message, retry_after=1)


def is_exhausted(error: BaseException) -> bool:
    """Return whether ``error`` says that this machine lacks what a connection needs."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """Hold a non-streaming response. Header names are in lower case, or found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamResponse(Protocol):
    """Read a response while its body arrives. Close it on every path, because that cancels the provider's work.

    ``max_event_bytes`` is the limit for the events that are framed from the body. The body has no limit, unless it is
    compressed: then it is ``MAX_BODY_BYTES``.
    """

    status: int
    headers: Mapping[str, str]
    max_event_bytes: int

    async def next(self) -> bytes:
        """Return the bytes that have arrived, at least one; empty at the end.

        Raises ``ApiError`` when the connection breaks.
        """

    async def read(self) -> bytes:
        """Return the rest of the body, at most ``body_limit(status)`` bytes. Raises as ``next`` does."""

    def abort(self, error: ApiError) -> None:
        """End the response here: ``next`` raises ``error``, also a call that is waiting in it."""

    def last_byte_at(self, received: float) -> float | None:
        """Return when the last bytes arrived; ask before ``finish``.

        ``received`` is when ``next`` returned them. Both are seconds of ``time.perf_counter``. The result is ``None``
        if the provider may have had to wait until earlier bytes were read.
        """

    def finish(self) -> None:
        """Close a response whose last event has arrived, while the bytes that frame its end may still be missing."""

    def close(self) -> None:
        """Return the connection to the pool if the response is complete, else close it."""


class Transport(Protocol):
    """Pool connections to all providers, without redirects or retries. A cancelled call is closed at once."""

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """Return the non-streaming response.

        Raises ``ApiError`` for a broken connection, or when ``timeout_s`` have passed, connecting included.
        """

    async def stream(self, request: HttpRequest, timeout_s: float) -> StreamResponse:
        """Return the response's head within ``timeout_s``; ``next`` reads the body. Raises as ``send`` does."""

    async def close(self) -> None:
        """Close all connections."""


def check_head(url: str, headers: Iterable[tuple[str, str]]) -> None:
    """Raise ``ApiError`` if a request's address or headers would change the framing of its head."""
    for name, value in headers:
        if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
            raise connection_error("its key or a header has characters that a header must not contain")
        if name.lower() in TRANSPORT_HEADERS or not name or ":" in name or " " in name:
            raise connection_error(f"the header {name[:40]!r} cannot be set by a request to a provider")
    if " " in url or not (url.isascii() and url.isprintable()):
        raise connection_error("its address has characters that an address must not contain")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise connection_error("its address must be http:// or https:// with a host and a valid port")


async def read_bounded(response: StreamResponse) -> bytes:
    """Return the rest of the body of ``response``. Raises ``ApiError`` where it exceeds its limit."""
    parts, size, limit = [], 0, body_limit(response.status)
    while part := await response.next():
        parts.append(part)
        size += len(part)
        if size > limit:
            response.abort(body_size_error(limit))
            raise body_size_error(limit)
    return b"".join(parts)


def body_limit(status: int) -> int:
    """Return the largest body, in bytes, of a response with ``status`` that is read as one."""
    return MAX_BODY_BYTES if status == 200 else MAX_ERROR_BYTES


def body_size_error(limit: int) -> ApiError:
    """Return the error for a body that exceeds ``limit`` bytes."""
    return connection_error(f"its response exceeds {limit:,} bytes")


def connection_error(reason: str) -> ApiError:
    """Return the error for a connection that failed, or broke before the response was complete."""
    return ApiError("provider_unavailable", f"The connection to the provider broke: {reason}")


def connect_timeout_error() -> ApiError:
    """Return the error for the router's own limit on connecting, whatever the caller's deadline is."""
    return ApiError("timeout", "The provider did not accept the connection in time")


def deadline_error(timeout_s: float) -> DeadlineMissed:
    """Return the error for a response that did not arrive before the caller's deadline."""
    return DeadlineMissed(f"The provider sent no response within {timeout_s:g} s")
