"""Implement ``Skin`` for the chat completions API."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data.catalogue.types import Catalogue
from router_service.api.metadata import metadata
from router_service.api.parse_head import parse_head
from router_service.api.skins.chat.parse import check_parameters, parse_generation
from router_service.api.skins.chat.render import ResponseHead, render_response, render_spliced
from router_service.api.skins.chat.stream import HEADERS, ChatStreamRenderer
from router_service.api.skins.error_envelope import error_envelope
from router_service.api.skins.skin import (
    JSON_HEADERS,
    PROCESSING,
    ErrorResponse,
    Headers,
    ParsedRequest,
    StreamRenderer,
)
from router_service.api.skins.usage_json import usage_json
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import fold
from router_service.core.exchange import Exchange
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat import DIALECT
from router_service.core.wire.chat_traits import FOREIGN, inspect_messages
from router_service.middleware.plugins import PLUGINS_FIELD, take_plugins

_encode = msgspec.json.Encoder().encode


class ChatEndpoint:
    """Serve ``POST /chat/completions``."""

    name = "chat"
    keepalive = PROCESSING

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def parse(self, exchange: Exchange, query: bytes, catalogue: Catalogue) -> ParsedRequest:  # noqa: ARG002
        # A configuration that is read anew brings another catalogue; ``error`` names providers from it.
        self._catalogue = catalogue
        request = exchange.request
        head = parse_head(request.body)
        exchange.request = request.with_head(head)
        fields = head.fields
        plugins = take_plugins(fields) if PLUGINS_FIELD in fields else ()
        reasoning = check_parameters(fields)
        traits = inspect_messages(fields["messages"])
        source = RequestSource(DIALECT, fields, traits, head.stream, parse_generation)
        if traits & FOREIGN:
            # Malformed messages are refused here, before anything is planned for them.
            _ = source.parsed
        excluded = reasoning is not None and reasoning.exclude
        return ParsedRequest(source, None if excluded else DIALECT, plugins)

    def error(self, error: ApiError, exchange: Exchange) -> ErrorResponse:
        body = error_envelope(error, **metadata(exchange, self._catalogue, error))
        return ErrorResponse(error.code, [*JSON_HEADERS, *error.headers()], _encode(body))

    def response(self, exchange: Exchange, parsed: ParsedRequest, batches: Sequence[Batch]) -> tuple[Headers, bytes]:
        first = batches[0]
        if first.dialect == DIALECT:
            completion = render_spliced(first, exchange)
            if exchange.route.plans is None:
                return JSON_HEADERS, _encode(completion)
            body = msgspec.structs.asdict(completion)
        else:
            result = fold(event for batch in batches for event in batch.events())
            body = render_response(
                result, _head_of(exchange), usage_json(exchange), exclude_reasoning=parsed.dialect is None
            )
        if exchange.route.plans is not None:
            body |= metadata(exchange, self._catalogue)
        return JSON_HEADERS, _encode(body)

    def stream(self, exchange: Exchange, parsed: ParsedRequest) -> tuple[Headers, StreamRenderer]:
        return HEADERS, _ChatStream(exchange, self._catalogue, exclude_reasoning=parsed.dialect is None)


class _ChatStream:
    """Implement ``StreamRenderer``: the end of a stream has what the exchange knows by then."""

    __slots__ = ("_catalogue", "_exchange", "_exclude_reasoning", "_renderer", "over")

    def __init__(self, exchange: Exchange, catalogue: Catalogue, *, exclude_reasoning: bool) -> None:
        self._exchange = exchange
        self._catalogue = catalogue
        self._renderer: ChatStreamRenderer | None = None
        self._exclude_reasoning = exclude_reasoning
        self.over = False

    def render(self, batches: Sequence[Batch]) -> bytes:
        renderer = self._renderer
        if renderer is None:
            # The renderer learns the tier from the events: those of later chunks may name another.
            head = msgspec.structs.replace(_head_of(self._exchange), service_tier=None)
            renderer = self._renderer = ChatStreamRenderer(head, exclude_reasoning=self._exclude_reasoning)
        if len(batches) == 1:
            content = renderer.render(batches[0])
        else:
            content = b"".join([renderer.render(batch) for batch in batches])
        if not renderer.ended:
            return content
        self.over = True
        more = metadata(self._exchange, self._catalogue, renderer.error)
        if renderer.error is not None:
            return content + renderer.fail(renderer.error, **more)
        return content + renderer.close(usage_json(self._exchange), **more)

    def fail(self, error: ApiError) -> bytes:
        exchange = self._exchange
        model = (exchange.request.head and exchange.request.head.model) or ""
        renderer = ChatStreamRenderer(
            ResponseHead(id=exchange.request.id, created=int(exchange.request.received_at), model=model)
        )
        return renderer.fail(error, **metadata(exchange, self._catalogue, error))


def _head_of(exchange: Exchange) -> ResponseHead:
    request, outcome = exchange.request, exchange.outcome
    return ResponseHead(
        id=request.id,
        created=int(request.received_at),
        model=outcome.model or "",
        provider=outcome.provider_name,
        service_tier=outcome.service_tier,
    )
