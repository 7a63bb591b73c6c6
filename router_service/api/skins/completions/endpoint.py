"""Implement ``Skin`` for the legacy completions API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data.catalogue.types import Catalogue
from router_service.api.metadata import metadata
from router_service.api.parse_head import parse_head
from router_service.api.skins.completions.parse import parse_completion
from router_service.api.skins.completions.render import (
    LegacyLogprobs,
    completion_head,
    legacy_finish_reason,
    opening_reasoning,
    opening_text,
)
from router_service.api.skins.completions.stream import CompletionRenderer
from router_service.api.skins.error_envelope import error_envelope
from router_service.api.skins.head import head_like
from router_service.api.skins.skin import (
    EVENT_STREAM_HEADERS,
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
from router_service.core.events import ResultChoice, fold
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json
from router_service.core.request_source import RequestSource
from router_service.middleware.plugins import PLUGINS_FIELD, take_plugins


class ParsedCompletion(ParsedRequest):
    """Hold whether the answer goes without its reasoning."""

    exclude_reasoning: bool = False


class CompletionsEndpoint:
    """Serve ``POST /completions``."""

    name = "completions"
    keepalive = PROCESSING

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def parse(self, exchange: Exchange, query: bytes, catalogue: Catalogue) -> ParsedRequest:  # noqa: ARG002
        # A configuration that is read anew brings another catalogue; metadata names providers from it.
        self._catalogue = catalogue
        request = exchange.request
        sent = parse_head(request.body, with_messages=False)
        exchange.request = request.with_head(sent)
        plugins = take_plugins(sent.fields) if PLUGINS_FIELD in sent.fields else ()
        generation = parse_completion(sent.fields)
        exchange.request = request.with_head(head_like(generation, sent))
        excluded = generation.reasoning is not None and generation.reasoning.exclude
        return ParsedCompletion(RequestSource.of(generation), plugins=plugins, exclude_reasoning=excluded)

    def error(self, error: ApiError, exchange: Exchange) -> ErrorResponse:
        body = error_envelope(error, **metadata(exchange, self._catalogue, error))
        return ErrorResponse(error.code, [*JSON_HEADERS, *error.headers()], outgoing_json(body))

    def response(self, exchange: Exchange, parsed: ParsedRequest, batches: Sequence[Batch]) -> tuple[Headers, bytes]:
        result = fold(event for batch in batches for event in batch.events())
        excluded = _excludes_reasoning(parsed)
        choices = [_choice(choice, index, excluded) for index, choice in enumerate(result.choices)]
        body = completion_head(exchange) | {"choices": choices, "usage": usage_json(exchange)}
        return JSON_HEADERS, outgoing_json(body | metadata(exchange, self._catalogue))

    def stream(self, exchange: Exchange, parsed: ParsedRequest) -> tuple[Headers, StreamRenderer]:
        renderer = CompletionRenderer(exchange, self._catalogue, exclude_reasoning=_excludes_reasoning(parsed))
        return EVENT_STREAM_HEADERS, renderer


def _excludes_reasoning(parsed: ParsedRequest) -> bool:
    return isinstance(parsed, ParsedCompletion) and parsed.exclude_reasoning


def _choice(choice: ResultChoice, index: int, exclude_reasoning: bool) -> dict[str, Any]:
    reasoning = "".join(opening_reasoning(part) or "" for part in choice.parts)
    found = {
        "index": index if choice.finished is None else choice.finished.choice,
        "text": "".join(opening_text(part) or "" for part in choice.parts),
        "logprobs": LegacyLogprobs().of(choice.logprobs),
        "finish_reason": legacy_finish_reason(choice.finished),
        "native_finish_reason": choice.finished and choice.finished.native,
    }
    return found | {"reasoning": reasoning} if reasoning and not exclude_reasoning else found
