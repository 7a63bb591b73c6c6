"""Define what the rest of the router knows about a wire format: a translator without state and without I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.core.http_request import HttpRequest
from router_service.core.parts import Media
from router_service.core.request_source import RequestSource
from router_service.providers.marked_prompt import MarkedPrompt


class ParameterSupport(StrEnum):
    """Say what a wire format does with a parameter of the chat dialect.

    ``NATIVE``: it has a field for it. ``EMULATED``: other fields have the same effect. ``DROPPED``: it is left out, and
    the answer reports it. ``REFUSED``: the request fails with a sentence.
    """

    NATIVE = "native"
    EMULATED = "emulated"
    DROPPED = "dropped"
    REFUSED = "refused"


class DecodeContext(msgspec.Struct, frozen=True):
    """Hold what ``encode`` knows and the decoder needs.

    ``generation_id`` is the stem of ids that have to be made. ``origin`` marks the parts that may return to this
    provider alone. ``tool_names`` maps the names that were sent to the client's. ``output_tool`` is the forced tool
    that emulates structured output; its arguments are the text of the answer. ``custom_tools`` are the names, as sent,
    of custom tools that were sent as functions whose one argument ``input`` is the text. ``think_tags`` is true where
    text may begin with reasoning within ``<think>``, ``reasoning_in_total`` where a provider's total of tokens may be
    all that counts the reasoning, ``lists_sources`` where the sources of an answer may stand beside its choices,
    ``json_text`` where the text was asked for as JSON in words, or by a tool, which a model may pass by.
    ``cache_made_tokens`` and ``cache_token_minutes`` are what a cache has cost that was made for the request, as
    ``Usage`` counts it.
    """

    generation_id: str = ""
    origin: str = ""
    choices: int = 1
    tool_names: Mapping[str, str] = {}
    output_tool: str | None = None
    custom_tools: frozenset[str] = frozenset()
    reasoning_in_total: bool = False
    think_tags: bool = False
    lists_sources: bool = False
    json_text: bool = False
    cache_made_tokens: int | None = None
    cache_token_minutes: int | None = None


class Encoded(msgspec.Struct, frozen=True):
    """Hold a request without credentials, and what is needed to decode its answer.

    ``dropped`` names the parameters that were left out, sorted. ``marked`` tells where the client has marked the prompt
    to be cached, if the provider caches it under a name alone; ``cache_control`` is among ``dropped`` then.
    """

    request: HttpRequest
    context: DecodeContext
    dropped: tuple[str, ...] = ()
    marked: MarkedPrompt | None = None


class EventDecoder(Protocol):
    """Decode one stream, event by event."""

    def feed(self, event: str | None, data: bytes) -> Batch | None:
        """Return what a server-sent event says, or ``None`` for nothing. An error of the provider is ``Failed``.

        ``Ended`` and ``Failed`` come in an ``EventBatch``, as its last event.

        Raises ``ApiError`` 502 for bytes that are no event of the format.
        """

    def end(self) -> list[Event]:
        """Return the events that close an answer whose stream has ended, empty if it was closed already.

        A stream that ended without a finish reason of the provider is ``Failed``, never a success.
        """


class WireFormat(Protocol):
    """Translate to and from one wire format.

    ``support`` says what the format as such does with each parameter of the chat dialect.
    """

    name: str
    support: Mapping[str, ParameterSupport]

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return ``support`` as it is at ``endpoint``, whose provider or model may take less or more than others.

        The same tables are returned for endpoints that take the same.
        """

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""

    def encode_source(self, source: RequestSource, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request as its client wrote it; what needs no change may be copied. Raises as ``encode`` does."""

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        """Translate a non-streaming response to the events of the same answer as a stream.

        Raises ``ApiError`` 502 if ``body`` is no answer, or the provider's own error found inside a 200.
        """

    def decode_batches(self, body: bytes, context: DecodeContext) -> list[Batch]:
        """Translate like ``decode``; messages that were verified are batches that may be spliced."""

    def decoder(self, context: DecodeContext) -> EventDecoder:
        """Return a decoder for one stream."""

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""


# Functions that tell whether a medium cannot be sent by its URL to an endpoint, by wire format.
DataAlone = Mapping[str, Callable[[Media, Endpoint], bool]]
