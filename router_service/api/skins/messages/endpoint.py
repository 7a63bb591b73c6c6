"""Implement ``Skin`` for the Anthropic messages API."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from data.catalogue.types import Catalogue
from router_service.api.parse_head import decode_fields
from router_service.api.skins.head import head_of
from router_service.api.skins.messages.errors import error_body, error_headers, error_status
from router_service.api.skins.messages.models import resolve_vendor_id
from router_service.api.skins.messages.parse import parse_generation
from router_service.api.skins.messages.render import render_message
from router_service.api.skins.messages.stream import PING, STREAM_HEADERS, MessagesStreamRenderer
from router_service.api.skins.skin import ErrorResponse, Headers, ParsedRequest, StreamRenderer
from router_service.core.errors import ApiError
from router_service.core.events import Result
from router_service.core.exchange import Exchange

JSON_HEADERS: Headers = [(b"content-type", b"application/json")]
_text = msgspec.json.Decoder(str)


class MessagesEndpoint:
    """Serve ``POST /v1/messages``; with ``counting`` its ``count_tokens``, where no limit is required."""

    name = "messages"
    keepalive = PING

    def __init__(self, *, counting: bool = False) -> None:
        self._counting = counting

    def parse(self, headers: Mapping[bytes, bytes], query: bytes, body: bytes, catalogue: Catalogue) -> ParsedRequest:
        fields = decode_fields(body)
        model = _read_model(fields)
        betas = [one.strip() for one in headers.get(b"anthropic-beta", b"").decode("latin-1").split(",") if one.strip()]
        generation = parse_generation(
            fields,
            betas=betas,
            beta_query=parse_qs(query.decode("latin-1")).get("beta") == ["true"],
            counting=self._counting,
        )
        # A name that no rule resolves goes on as it is: planning says what is wrong with it.
        resolved = resolve_vendor_id(model, catalogue) or model
        return ParsedRequest(
            head_of(generation, resolved, provider=bytes(fields.get("provider", b""))), generation, model
        )

    def error(self, error: ApiError, generation_id: str) -> ErrorResponse:
        headers = [*JSON_HEADERS, *error_headers(error, generation_id)]
        return ErrorResponse(error_status(error), headers, msgspec.json.encode(error_body(error, generation_id)))

    def response(self, exchange: Exchange, result: Result) -> tuple[Headers, bytes]:
        body = render_message(result, generation_id=exchange.id, model=exchange.client_model)
        return [*JSON_HEADERS, (b"request-id", exchange.id.encode())], body

    def stream(self, exchange: Exchange) -> tuple[Headers, StreamRenderer]:
        headers = [*STREAM_HEADERS, (b"request-id", exchange.id.encode())]
        return headers, MessagesStreamRenderer(exchange.id, exchange.client_model)


def _read_model(fields: Mapping[str, msgspec.Raw]) -> str:
    try:
        return _text.decode(fields["model"])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError("invalid_request", "model: send the id of a model, such as 'claude-sonnet-4-5'") from None
