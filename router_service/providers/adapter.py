"""Define the adapter interface, which is all that the rest of the router knows about a wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.core.usage import Usage


class StreamedChoice(msgspec.Struct):
    """Hold one choice of a chunk, as the reference renders it. ``delta`` is raw JSON if nothing in it has to change."""

    index: int
    delta: msgspec.Raw | dict[str, Any]
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ChatResponse(msgspec.Struct):
    """Hold a non-streaming response; ``choices`` are as the reference renders them, with both finish reasons.

    ``service_tier`` is the tier that served it, by the reference's name.
    """

    choices: list[dict[str, Any]]
    usage: Usage | None = None
    upstream_id: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class ChatDelta(msgspec.Struct):
    """Hold the content of one upstream event. ``content`` is false for events that carry no token."""

    choices: list[StreamedChoice] = []
    usage: Usage | None = None
    upstream_id: str | None = None
    error: ApiError | None = None
    content: bool = False
    done: bool = False
    service_tier: str | None = None


class StreamDecoder(Protocol):
    """Decode the events of one stream, in order."""

    def feed(self, event: str | None, data: bytes) -> ChatDelta | None:
        """Return the delta of an event, or ``None`` for an event without content.

        Raises ``ApiError`` for bytes that are not an event of the format.
        """


class Adapter(Protocol):
    """Translate to and from one wire format. Implementations hold no state."""

    def request(self, fields: Mapping[str, msgspec.Raw], endpoint: Endpoint, api_key: str, stream: bool) -> HttpRequest:
        """Translate a chat body, given as raw top-level fields. Raises ``ApiError`` 400 for a malformed body."""

    def response(self, body: bytes) -> ChatResponse:
        """Translate a non-streaming response. Raises ``ApiError`` 502 if ``body`` is not one."""

    def stream(self) -> StreamDecoder:
        """Return a decoder for one stream."""

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""
