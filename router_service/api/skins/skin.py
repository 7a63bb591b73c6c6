"""Define a skin: a client-facing API, which translates its own bodies to a generation request and events back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from data.catalogue.types import Catalogue
from router_service.core.errors import ApiError
from router_service.core.events import Event, Result
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.request import Head

Headers = list[tuple[bytes, bytes]]


class ParsedRequest(NamedTuple):
    """Hold what a skin reads from a body: ``head`` for routing and the record, ``generation`` for the provider.

    ``model`` is the model as the client wrote it; ``head`` has its canonical id.
    """

    head: Head
    generation: GenerationRequest
    model: str


class ErrorResponse(NamedTuple):
    """Hold an error as the client's API sends it."""

    status: int
    headers: Headers
    body: bytes


class StreamRenderer(Protocol):
    """Render one stream. What each method returns consists of whole server-sent events."""

    def feed(self, events: Sequence[Event]) -> bytes:
        """Render ``events``, the last of which may end the stream."""

    def fail(self, error: ApiError) -> bytes:
        """Render an error that came before the answer, in a stream that has started with a keep-alive."""


class Skin(Protocol):
    """Translate one client-facing API. ``keepalive`` is an event that clients ignore."""

    name: str
    keepalive: bytes

    def parse(self, headers: Mapping[bytes, bytes], query: bytes, body: bytes, catalogue: Catalogue) -> ParsedRequest:
        """Parse a request. Raises ``ApiError`` 400 with the field to change."""

    def error(self, error: ApiError, generation_id: str) -> ErrorResponse:
        """Render an error before the first byte of an answer."""

    def response(self, exchange: Exchange, result: Result) -> tuple[Headers, bytes]:
        """Render a non-streaming response; the exchange holds model, usage and cost."""

    def stream(self, exchange: Exchange) -> tuple[Headers, StreamRenderer]:
        """Return the headers of a stream and its renderer."""
