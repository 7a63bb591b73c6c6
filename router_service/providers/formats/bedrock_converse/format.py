"""Implement Amazon Bedrock's Converse API."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.amazon_errors import amazon_error
from router_service.providers.event_format import EventFormat
from router_service.providers.formats.bedrock_converse.decode import decode_converse
from router_service.providers.formats.bedrock_converse.decoder import ConverseDecoder
from router_service.providers.formats.bedrock_converse.encode import encode_converse
from router_service.providers.formats.bedrock_converse.names import DIALECT
from router_service.providers.formats.bedrock_converse.support import CONVERSE_SUPPORT, converse_support_at
from router_service.providers.json_events import decoding_json_text, with_json_text
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class BedrockConverseFormat(EventFormat):
    """Implement ``WireFormat``."""

    name: str = DIALECT
    support: Mapping[str, ParameterSupport] = CONVERSE_SUPPORT

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return the table of the endpoint's model."""
        return converse_support_at(endpoint)

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
        return encode_converse(request, endpoint, generation_id)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        """Translate a non-streaming response.

        Raises ``ApiError`` 502 if ``body`` is no response, or the provider's own error found inside a 200.
        """
        return with_json_text(decode_converse(body, context), context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        """Return a decoder for one stream."""
        return decoding_json_text(ConverseDecoder(context), context)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""
        return amazon_error(status, body, headers, endpoint)
