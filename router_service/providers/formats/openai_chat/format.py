"""Implement the wire format of chat completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.formats.openai_chat.decode import decode_response
from router_service.providers.formats.openai_chat.decoder import ChatDecoder
from router_service.providers.formats.openai_chat.dialect import NAME
from router_service.providers.formats.openai_chat.encode import encode_request
from router_service.providers.formats.openai_chat.errors import http_error
from router_service.providers.formats.openai_chat.splice import MessageTraits, encode_raw
from router_service.providers.formats.openai_chat.support import SUPPORT
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class OpenAIChatFormat:
    """Implement ``WireFormat``."""

    name: str = NAME
    support: Mapping[str, ParameterSupport] = SUPPORT

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        return encode_request(request, endpoint, generation_id)

    def encode_raw(
        self,
        fields: Mapping[str, msgspec.Raw],
        parse: Callable[[], GenerationRequest],
        endpoint: Endpoint,
        generation_id: str,
        *,
        stream: bool,
        traits: MessageTraits | None = None,
    ) -> Encoded:
        """Translate a body of the same dialect as ``encode`` would; see ``splice.encode_raw``."""
        return encode_raw(fields, parse, endpoint, generation_id, stream=stream, traits=traits)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        return decode_response(body, context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        return ChatDecoder(context)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)
