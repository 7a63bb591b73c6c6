"""Implement the wire format of Anthropic's Messages API, which other providers imitate."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.amazon_errors import amazon_error
from router_service.providers.event_format import EventFormat
from router_service.providers.formats.anthropic_messages.decode import decode_message
from router_service.providers.formats.anthropic_messages.decoder import MessageDecoder
from router_service.providers.formats.anthropic_messages.dialect import messages_dialect_at
from router_service.providers.formats.anthropic_messages.encode import encode_request
from router_service.providers.formats.anthropic_messages.errors import response_error
from router_service.providers.formats.anthropic_messages.names import DIALECT
from router_service.providers.formats.anthropic_messages.support import SUPPORT, support_at
from router_service.providers.json_events import decoding_json_text, with_json_text
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class AnthropicMessagesFormat(EventFormat):
    """Implement ``WireFormat``."""

    name: str = DIALECT
    support: Mapping[str, ParameterSupport] = SUPPORT

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return the table of the endpoint's model."""
        return support_at(endpoint)

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        """Translate a request. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
        return encode_request(request, endpoint, generation_id)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        """Translate a non-streaming response.

        Raises ``ApiError`` 502 if ``body`` is no message, or the provider's own error found inside a 200.
        """
        return with_json_text(decode_message(body, context), context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        """Return a decoder for one stream."""
        return decoding_json_text(MessageDecoder(context), context)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        """Return the typed error for a response with a status of failure."""
        if messages_dialect_at(endpoint).invoked:
            return amazon_error(status, body, headers, endpoint)
        return response_error(status, body, headers, endpoint)
