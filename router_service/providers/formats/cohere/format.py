"""Implement the wire format of Cohere's chat API, version 2."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.event_format import EventFormat
from router_service.providers.formats.cohere.decoder import ChatStreamDecoder, decode_chat
from router_service.providers.formats.cohere.encode import encode_request
from router_service.providers.formats.cohere.names import DIALECT
from router_service.providers.formats.cohere.support import SUPPORT, support_at
from router_service.providers.formats.cohere.wire import http_error
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class CohereFormat(EventFormat):
    """Implement ``WireFormat``."""

    name: str = DIALECT
    support: Mapping[str, ParameterSupport] = SUPPORT

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return the table of the endpoint's model."""
        return support_at(endpoint)

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        return encode_request(request, endpoint, generation_id)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        return decode_chat(body, context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        return ChatStreamDecoder(context)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)
