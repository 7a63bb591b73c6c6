"""Implement ``Skin`` for the Anthropic messages API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import msgspec

from data.catalogue.types import Catalogue
from router_service.api.skins.head import head_of
from router_service.api.skins.messages.errors import error_body, error_headers, error_status
from router_service.api.skins.messages.models import resolve_vendor_id
from router_service.api.skins.messages.parse import parse_generation
from router_service.api.skins.messages.render import render_message
from router_service.api.skins.messages.stream import PING, MessagesStreamRenderer
from router_service.api.skins.skin import (
    EVENT_STREAM_HEADERS,
    JSON_HEADERS,
    ErrorResponse,
    Headers,
    ParsedRequest,
    StreamRenderer,
)
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import fold
from router_service.core.exchange import Exchange
from router_service.core.json_fields import read_fields
from router_service.core.request_bounds import check_name
from router_service.core.request_source import RequestSource
from router_service.middleware.plugins import take_plugins

_text = msgspec.json.Decoder(str)


class MessagesEndpoint:
    """Serve ``POST /v1/messages``; with ``counting`` its ``count_tokens``, where no limit is required."""

    name = "messages"
    keepalive = PING

    def __init__(self, *, counting: bool = False) -> None:
        self._counting = counting

    def parse(self, exchange: Exchange, query: bytes, catalogue: Catalogue) -> ParsedRequest:
        request = exchange.request
        fields = read_fields(request.body)
        model = _read_model(fields)
        plugins = take_plugins(fields)
        sent = request.headers
        betas = [one.strip() for one in sent.get(b"anthropic-beta", b"").decode("latin-1").split(",") if one.strip()]
        generation = parse_generation(
            fields,
            betas=betas,
            beta_query=parse_qs(query.decode("latin-1")).get("beta") == ["true"],
            counting=self._counting,
        )
        # A name that no rule resolves goes on as it is: planning says what is wrong with it.
        resolved = resolve_vendor_id(model, catalogue) or model
        head = head_of(generation, resolved, client_model=model, provider=bytes(fields.get("provider", b"")))
        exchange.request = request.with_head(head)
        return ParsedRequest(RequestSource.of(generation), plugins=plugins)

    def error(self, error: ApiError, exchange: Exchange) -> ErrorResponse:
        headers = [*JSON_HEADERS, *error_headers(error, exchange.request.id)]
        return ErrorResponse(error_status(error), headers, msgspec.json.encode(error_body(error, exchange.request.id)))

    def response(
        self,
        exchange: Exchange,
        parsed: ParsedRequest,  # noqa: ARG002
        batches: Sequence[Batch],
    ) -> tuple[Headers, bytes]:
        result = fold(event for batch in batches for event in batch.events())
        body = render_message(result, generation_id=exchange.request.id, model=_client_model(exchange))
        return [*JSON_HEADERS, (b"request-id", exchange.request.id.encode())], body

    def stream(self, exchange: Exchange, parsed: ParsedRequest) -> tuple[Headers, StreamRenderer]:  # noqa: ARG002
        headers = [*EVENT_STREAM_HEADERS, (b"request-id", exchange.request.id.encode())]
        return headers, MessagesStreamRenderer(exchange.request.id, _client_model(exchange))


def _client_model(exchange: Exchange) -> str:
    head = exchange.request.head
    return head.client_model if head else ""


def _read_model(fields: Mapping[str, msgspec.Raw]) -> str:
    try:
        model = _text.decode(fields["model"])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError("invalid_request", "model: send the id of a model, such as 'claude-sonnet-4-5'") from None
    check_name("model", model)
    return model
