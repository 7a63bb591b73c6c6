"""Implement ``Skin`` for the OpenAI responses API."""

from __future__ import annotations

from collections.abc import Sequence

from data.catalogue.types import Catalogue
from router_service.api.metadata import metadata
from router_service.api.parse_head import parse_head
from router_service.api.skins.head import head_like
from router_service.api.skins.responses.echo import echo_of
from router_service.api.skins.responses.errors import failure_body, is_length
from router_service.api.skins.responses.item_ids import response_id
from router_service.api.skins.responses.parse import parse_body
from router_service.api.skins.responses.stream import ResponseRenderer
from router_service.api.skins.skin import (
    EVENT_STREAM_HEADERS,
    JSON_HEADERS,
    PROCESSING,
    ErrorResponse,
    Headers,
    ParsedRequest,
    StreamRenderer,
)
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json
from router_service.core.request_source import RequestSource
from router_service.middleware.plugins import PLUGINS_FIELD, take_plugins


class ParsedResponsesRequest(ParsedRequest):
    """Hold what the answer needs of the request besides: see ``echo_of`` and ``ParsedBody``."""

    echo: str = ""
    namespaces: dict[str, tuple[str, str]] = {}
    exclude_reasoning: bool = False


class ResponsesEndpoint:
    """Serve ``POST /responses``."""

    name = "responses"
    keepalive = PROCESSING

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
        exchange.request = request.with_head(head_like(body.generation, sent))
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
        return ErrorResponse(error.code, [*JSON_HEADERS, *error.headers()], outgoing_json(body))

    def response(self, exchange: Exchange, parsed: ParsedRequest, batches: Sequence[Batch]) -> tuple[Headers, bytes]:
        renderer = self._renderer(exchange, parsed)
        renderer.render(batches)
        if renderer.error is not None and not is_length(renderer.error):
            raise renderer.error
        return JSON_HEADERS, renderer.body.encode()

    def stream(self, exchange: Exchange, parsed: ParsedRequest) -> tuple[Headers, StreamRenderer]:
        return EVENT_STREAM_HEADERS, self._renderer(exchange, parsed)

    def _renderer(self, exchange: Exchange, parsed: ParsedRequest) -> ResponseRenderer:
        assert isinstance(parsed, ParsedResponsesRequest)
        return ResponseRenderer(
            exchange, self._catalogue, parsed.echo, parsed.namespaces, exclude_reasoning=parsed.exclude_reasoning
        )

    def _ended_at_length(self, error: ApiError, exchange: Exchange, *, stream: bool) -> ErrorResponse:
        """Return the success as which the reference tells a prompt or a limit that is too large."""
        renderer = ResponseRenderer(exchange, self._catalogue, echo_of({}), {})
        events = renderer.fail(error)
        return ErrorResponse(
            200, EVENT_STREAM_HEADERS if stream else JSON_HEADERS, events if stream else renderer.body.encode()
        )
