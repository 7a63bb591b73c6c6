"""Implement Google's generateContent API, at Google AI Studio and at Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.event_format import EventFormat
from router_service.providers.formats.gemini.decode import decode_content
from router_service.providers.formats.gemini.decoder import ContentDecoder
from router_service.providers.formats.gemini.encode import encode_content_request
from router_service.providers.formats.gemini.errors import gemini_error
from router_service.providers.formats.gemini.names import DIALECT
from router_service.providers.formats.gemini.support import GEMINI_SUPPORT, gemini_support_at
from router_service.providers.json_events import decoding_json_text, with_json_text
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class GeminiFormat(EventFormat):
    """Implement ``WireFormat``."""

    name: str = DIALECT
    support: Mapping[str, ParameterSupport] = GEMINI_SUPPORT

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return the table of the endpoint's provider and model."""
        return gemini_support_at(endpoint)

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
        return encode_content_request(request, endpoint, generation_id)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        """Translate a non-streaming response.

        Raises ``ApiError`` 502 if ``body`` is no response, or the provider's own error found inside a 200.
        """
        return with_json_text(decode_content(body, context), context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        """Return a decoder for one stream."""
        return decoding_json_text(ContentDecoder(context), context)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""
        return gemini_error(status, body, headers, endpoint)
