"""Define a skin: a client-facing API, which translates its own bodies to a generation request and events back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from data.catalogue.types import Catalogue
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.request_source import RequestSource
from router_service.middleware.middleware import Middleware

Asked = TypeVar("Asked")
Found = TypeVar("Found", contravariant=True)
Headers = list[tuple[bytes, bytes]]
JSON_HEADERS: Headers = [(b"content-type", b"application/json")]
EVENT_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]
# The comment by which the reference keeps a stream alive.
PROCESSING = b": OPENROUTER PROCESSING\n\n"


class ParsedRequest(msgspec.Struct):
    """Hold what a skin reads from a body.

    ``dialect`` is the one whose verified bytes the client takes unchanged. ``plugins`` act on the request within the
    installation's middleware.
    """

    source: RequestSource
    dialect: str | None = None
    plugins: tuple[Middleware, ...] = ()


class ErrorResponse(NamedTuple):
    """Hold an error as the client's API sends it."""

    status: int
    headers: Headers
    body: bytes


class StreamRenderer(Protocol):
    """Render one stream. What each method returns consists of whole server-sent events.

    ``over`` is true once the last event was rendered.
    """

    over: bool

    def render(self, batches: Sequence[Batch]) -> bytes:
        """Render ``batches``, the last of which may end the stream."""

    def fail(self, error: ApiError) -> bytes:
        """Render an error that came before the answer, in a stream that has started with a keep-alive."""


class ClientFace(Protocol):
    """Hold what every client-facing API has. ``keepalive`` is an event that clients of its streams ignore."""

    name: str
    keepalive: bytes

    def error(self, error: ApiError, exchange: Exchange) -> ErrorResponse:
        """Render an error before the first byte of an answer."""


class Skin(ClientFace, Protocol):
    """Translate one client-facing API."""

    def parse(self, exchange: Exchange, query: bytes, catalogue: Catalogue) -> ParsedRequest:
        """Parse the body of ``exchange``, and set its head as soon as it is known: a refusal's record names the model.

        Raises ``ApiError`` 400 with the field to change.
        """

    def response(self, exchange: Exchange, parsed: ParsedRequest, batches: Sequence[Batch]) -> tuple[Headers, bytes]:
        """Render a complete non-streaming response; the exchange holds model, usage and cost."""

    def stream(self, exchange: Exchange, parsed: ParsedRequest) -> tuple[Headers, StreamRenderer]:
        """Return the headers of a stream and its renderer."""


class TaskSkin(ClientFace, Protocol[Asked, Found]):
    """Translate the client-facing API of a task other than chat, whose answer comes at once."""

    def parse(self, exchange: Exchange) -> Asked:
        """Parse the body of ``exchange``, and set its head as soon as it is known. Raises as ``Skin.parse`` does."""

    def response(self, exchange: Exchange, asked: Asked, result: Found) -> bytes:
        """Render the JSON of the response; the exchange holds model, usage and cost."""
