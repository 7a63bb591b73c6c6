"""Implement ``Skin`` for the OpenAI responses API."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data.catalogue.types import Catalogue
from router_service.api.metadata import metadata
from router_service.api.parse_head import parse_head
from router_service.api.skins.head import head_of
from router_service.api.skins.responses.echo import echo_of
from router_service.api.skins.responses.errors import failure_body, is_length
from router_service.api.skins.responses.item_ids import response_id
from router_service.api.skins.responses.parse import parse_body
from router_service.api.skins.responses.stream import KEEPALIVE, STREAM_HEADERS, ResponseRenderer
from router_service.api.skins.skin import ErrorResponse, Headers, ParsedRequest, StreamRenderer
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json
from router_service.core.request_source import RequestSource
from router_service.middleware.plugins import PLUGINS_FIELD, take_plugins

_JSON: Headers = [(b"content-type", b"application/json")]


class ParsedResponsesRequest(ParsedRequest):
    """Hold what the answer needs of the request besides: see ``echo_of`` and ``ParsedBody``."""

    echo: str = ""
    namespaces: dict[str, tuple[str, str]] = {}
    exclude_reasoning: bool = False


class ResponsesEndpoint:
    """Serve ``POST /responses``."""

    name = "responses"
    keepalive = KEEPALIVE

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def parse(self, exchange: Exchange, query: bytes, catalogue: Catalogue) -> ParsedRequest:  # noqa: ARG002
        # A configuration that is read anew brings another catalogue; metadata names providers from it.
        self._catalogue = catalogue
        request = exchange.request
        sent = parse_head(request.body, with_messages=False)
        exchange.request = request.with_head(sent)
        fields = sent.fields
        plugins = take_plugins(fields) if PLUGINS_FIELD in fields else ()
        body = parse_body(fields)
        head = head_of(body.generation, sent.model, provider=sent.provider, session_id=sent.session_id)
        exchange.request = request.with_head(msgspec.structs.replace(head, models=sent.models, trace_id=sent.trace_id))
        return ParsedResponsesRequest(
            RequestSource.of(body.generation),
            plugins=plugins,
            echo=echo_of(fields),
            namespaces=body.namespaces,
            exclude_reasoning=body.exclude_reasoning,
        )

    def error(self, error: ApiError, exchange: Exchange) -> ErrorResponse:
        head = exchange.request.head
        if head is not None and is_length(error):
            return self._ended_at_length(error, exchange, stream=head.stream)
        fields = frozenset(head.names if head is not None else ())
        body = failure_body(error, response_id(exchange.request.id), fields)
        body |= metadata(exchange, self._catalogue, error)
        return ErrorResponse(error.code, [*_JSON, *error.headers()], outgoing_json(body))

    def response(self, exchange: Exchange, parsed: ParsedRequest, batches: Sequence[Batch]) -> tuple[Headers, bytes]:
        renderer = self._renderer(exchange, parsed)
        renderer.render(batches)
        if renderer.error is not None and not is_length(renderer.error):
            raise renderer.error
        return _JSON, renderer.body.encode()

    def stream(self, exchange: Exchange, parsed: ParsedRequest) -> tuple[Headers, StreamRenderer]:
        return STREAM_HEADERS, self._renderer(exchange, parsed)

    def _renderer(self, exchange: Exchange, parsed: ParsedRequest) -> ResponseRenderer:
        assert isinstance(parsed, ParsedResponsesRequest)
        return ResponseRenderer(
            exchange, self._catalogue, parsed.echo, parsed.namespaces, exclude_reasoning=parsed.exclude_reasoning
        )

    def _ended_at_length(self, error: ApiError, exchange: Exchange, *, stream: bool) -> ErrorResponse:
        """Return the success as which the reference tells a prompt or a limit that is too large."""
        renderer = ResponseRenderer(exchange, self._catalogue, echo_of({}), {})
        events = renderer.fail(error)
        return ErrorResponse(200, STREAM_HEADERS if stream else _JSON, events if stream else renderer.body.encode())
