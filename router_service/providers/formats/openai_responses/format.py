"""Implement the wire format of OpenAI's Responses API, which other providers imitate."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.event_format import EventFormat
from router_service.providers.formats.openai_responses.decode import decode_response
from router_service.providers.formats.openai_responses.decoder import ResponsesDecoder
from router_service.providers.formats.openai_responses.encode import encode_response_request
from router_service.providers.formats.openai_responses.errors import responses_error
from router_service.providers.formats.openai_responses.names import DIALECT
from router_service.providers.formats.openai_responses.support import RESPONSES_SUPPORT, responses_support_at
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class OpenAIResponsesFormat(EventFormat):
    """Implement ``WireFormat``."""

    name: str = DIALECT
    support: Mapping[str, ParameterSupport] = RESPONSES_SUPPORT

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return the table of the endpoint's provider and model."""
        return responses_support_at(endpoint)

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
        return encode_response_request(request, endpoint, generation_id)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        """Translate a non-streaming response.

        Raises ``ApiError`` 502 if ``body`` is no response, or the provider's own error found inside a 200.
        """
        return decode_response(body, context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        """Return a decoder for one stream."""
        return ResponsesDecoder(context)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""
        return responses_error(status, body, headers, endpoint)
