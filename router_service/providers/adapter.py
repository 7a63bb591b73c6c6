"""The adapter contract: all that the rest of the router knows of a wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError


class UpstreamRequest(NamedTuple):
    """``dropped`` names the parameters that the wire format cannot carry."""

    url: str
    headers: dict[str, str]
    body: bytes
    dropped: tuple[str, ...] = ()


class Usage(msgspec.Struct):
    """Native tokens. ``prompt_tokens`` include cached and cache-written ones, ``completion_tokens`` reasoning."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class StreamedChoice(msgspec.Struct):
    """One choice of a chunk, as the reference renders it. ``delta`` is raw JSON where nothing has to change in it."""

    index: int
    delta: msgspec.Raw | dict[str, Any]
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Answer(msgspec.Struct):
    """A whole answer; ``choices`` are as the reference renders them, both finish reasons included.

    ``service_tier`` is the one that served, in the reference's words.
    """

    choices: list[dict[str, Any]]
    usage: Usage | None = None
    upstream_id: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class Delta(msgspec.Struct):
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

    def feed(self, event: str | None, data: bytes) -> Delta | None:
        """The delta of an event, ``None`` when it says nothing. Raises ``ApiError`` on bytes that are no event."""


class Adapter(Protocol):
    """One wire format. Implementations hold no state."""

    def request(
        self, fields: Mapping[str, msgspec.Raw], endpoint: Endpoint, api_key: str, stream: bool
    ) -> UpstreamRequest:
        """Translate a chat body, given as raw top-level fields. Raises ``ApiError`` 400."""

    def response(self, body: bytes) -> Answer:
        """Translate a whole answer. Raises ``ApiError`` 502 when it is none."""

    def stream(self) -> StreamDecoder:
        """A decoder for one stream."""

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """The typed error that a failed answer means."""
