"""Implement what follows from the rest of a wire format that speaks in events alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.answer import Batch, EventBatch
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.core.request_source import RequestSource
from router_service.providers.failures import CODES, typed_error
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class EventFormat(ABC):
    """Implement ``WireFormat`` for a format whose bytes no client API takes unchanged.

    A subclass has a name, its table of parameters, ``encode``, ``decode`` and ``decoder``. It overrides ``support_of``
    where models differ, and ``error`` where the provider's errors are not ``{"error": {"message": …, "code": …}}``.
    """

    name: str
    support: Mapping[str, ParameterSupport]

    @abstractmethod
    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""

    @abstractmethod
    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        """Translate a non-streaming response.

        Raises ``ApiError`` 502 if ``body`` is no response, or the provider's own error found inside a 200.
        """

    @abstractmethod
    def decoder(self, context: DecodeContext) -> EventDecoder:
        """Return a decoder for one stream."""

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:  # noqa: ARG002 - others look at it
        """Return the table of the format: all endpoints take the same."""
        return self.support

    def encode_source(self, source: RequestSource, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request by its parts, whatever its client wrote. Raises as ``encode`` does."""
        return self.encode(source.parsed, endpoint, generation_id)

    def decode_batches(self, body: bytes, context: DecodeContext) -> list[Batch]:
        """Translate like ``decode``, to one batch of events."""
        return [EventBatch(self.decode(body, context), has_content=True)]

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""
        return typed_error(status, body, headers, endpoint, CODES)
