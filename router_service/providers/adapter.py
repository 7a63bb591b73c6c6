"""The adapter contract: all that the rest of the router knows of a wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.core.usage import Usage


class StreamedChoice(msgspec.Struct):
    """One choice of a chunk, as the reference renders it. ``delta`` is raw JSON where nothing has to change in it."""

    index: int
    delta: msgspec.Raw | dict[str, Any]
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ChatResponse(msgspec.Struct):
    """A whole answer; ``choices`` are as the reference renders them, both finish reasons included.

    ``service_tier`` is the one that served, in the reference's words.
    """

    choices: list[dict[str, Any]]
    usage: Usage | None = None
    upstream_id: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class ChatDelta(msgspec.Struct):
    """What one upstream event says. ``content`` is false for events that carry no token."""

    choices: list[StreamedChoice] = []
    usage: Usage | None = None
    upstream_id: str | None = None
    error: ApiError | None = None
    content: bool = False
    done: bool = False
    service_tier: str | None = None


class StreamDecoder(Protocol):
    """Fed with the events of one stream, in order."""

    def feed(self, event: str | None, data: bytes) -> ChatDelta | None:
        """The delta of an event, ``None`` when it says nothing. Raises ``ApiError`` on bytes that are no event."""


class Adapter(Protocol):
    """One wire format. Implementations hold no state."""

    def request(self, fields: Mapping[str, msgspec.Raw], endpoint: Endpoint, api_key: str, stream: bool) -> HttpRequest:
        """Translate a chat body, given as raw top-level fields. Raises ``ApiError`` 400."""

    def response(self, body: bytes) -> ChatResponse:
        """Translate a whole answer. Raises ``ApiError`` 502 when it is none."""

    def stream(self) -> StreamDecoder:
        """A decoder for one stream."""

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """The typed error that a failed answer means."""
