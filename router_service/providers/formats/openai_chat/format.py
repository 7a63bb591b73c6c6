"""Implement the wire format of chat completions."""

from __future__ import annotations

from collections.abc import Mapping

from data.catalogue.types import Endpoint
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.generation import GenerationRequest
from router_service.providers.formats.openai_chat.decode import decode_response, decode_spliced
from router_service.providers.formats.openai_chat.decoder import ChatDecoder
from router_service.providers.formats.openai_chat.dialect import NAME
from router_service.providers.formats.openai_chat.encode import encode_request
from router_service.providers.formats.openai_chat.errors import http_error
from router_service.providers.formats.openai_chat.json_output import JsonOutputDecoder, json_body
from router_service.providers.formats.openai_chat.sources import SourceDecoder, annotated_body
from router_service.providers.formats.openai_chat.splice import encode_source
from router_service.providers.formats.openai_chat.support import SUPPORT, support_at
from router_service.providers.formats.openai_chat.think_tags import ThinkTagDecoder, split_body
from router_service.providers.wire_format import DecodeContext, Encoded, EventDecoder, ParameterSupport


class OpenAIChatFormat:
    """Implement ``WireFormat``."""

    name: str = NAME
    support: Mapping[str, ParameterSupport] = SUPPORT

    def support_of(self, endpoint: Endpoint) -> Mapping[str, ParameterSupport]:
        """Return the table of the provider's dialect."""
        return support_at(endpoint)

    def encode(self, request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
        return encode_request(request, endpoint, generation_id)

    encode_source = staticmethod(encode_source)

    def decode(self, body: bytes, context: DecodeContext) -> list[Event]:
        return decode_response(_rewritten(body, context), context)

    def decode_batches(self, body: bytes, context: DecodeContext) -> list[Batch]:
        return decode_spliced(_rewritten(body, context), context)

    def decoder(self, context: DecodeContext) -> EventDecoder:
        decoder: EventDecoder = ChatDecoder(context)
        if context.json_text:
            decoder = JsonOutputDecoder(decoder)
        if context.think_tags:
            decoder = ThinkTagDecoder(context, decoder)
        return SourceDecoder(decoder) if context.lists_sources else decoder

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)


def _rewritten(body: bytes, context: DecodeContext) -> bytes:
    """Return a completion with what stands at an unusual place of the provider's answers where clients read it."""
    if context.think_tags:
        body = split_body(body)
    if context.json_text:
        body = json_body(body)
    return annotated_body(body) if context.lists_sources else body
