"""What the router wants of an upstream client, and what a connection's failure means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest


class StaleConnection(ApiError):
    """A kept connection was closed before a byte of the answer: the provider has most likely ended it while idle."""

    def __init__(self) -> None:
        super().__init__("provider_unavailable", "The provider closed a connection that was kept open")


class DeadlineMissed(ApiError):
    """A deadline that the caller set has passed: not the provider's own verdict, as its 504 is."""

    def __init__(self, message: str) -> None:
        super().__init__("timeout", message)


class HttpResponse(NamedTuple):
    """A whole answer; header names in lower case, or found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamResponse(Protocol):
    """An answer whose body is still coming. Close it on every path: that cancels the provider's work."""

    status: int
    headers: Mapping[str, str]

    async def next(self) -> bytes:
        """The bytes that have come, at least one; empty at the end. Raises ``ApiError`` when the connection breaks."""

    async def read(self) -> bytes:
        """All of the rest. Raises as ``next`` does."""

    def cut(self, error: ApiError) -> None:
        """End the answer here: ``next`` raises ``error``, the one that waits in it as well."""

    def ended(self, taken: float) -> float | None:
        """When the last bytes came, to be asked before ``finish``; ``taken`` is when ``next`` returned them, both
        seconds of ``time.perf_counter``. ``None`` where the provider may have had to wait until the ones before were
        taken.
        """

    def finish(self) -> None:
        """Like ``close``, of an answer whose last event has come: what frames its end may still be on the way."""

    def close(self) -> None:
        """Give the connection back if the answer is complete, else cut it."""


class Transport(Protocol):
    """A connection pool for all providers: no redirects, no retries. A cancelled call is closed at once."""

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """The whole answer. Raises ``ApiError`` on a broken connection or when ``timeout_s`` have passed, those
        of connecting among them.
        """

    async def stream(self, request: HttpRequest, timeout_s: float) -> StreamResponse:
        """The answer's head, within ``timeout_s``; the body follows by ``next``. Raises as ``send`` does."""

    async def close(self) -> None:
        """Close all connections."""


def broken(reason: str) -> ApiError:
    """The connection failed, or broke before the answer was complete."""
    return ApiError("provider_unavailable", f"The connection to the provider broke: {reason}")


def no_connection() -> ApiError:
    """The connect deadline has passed: it is the router's, whatever the caller's."""
    return ApiError("timeout", "The provider did not accept the connection in time")


def too_late(timeout_s: float) -> DeadlineMissed:
    """The answer's deadline has passed."""
    return DeadlineMissed(f"The provider gave no answer within {timeout_s:g} s")
