"""Implement ``TaskSkin`` for ranking."""

from __future__ import annotations

from typing import Any

from router_service.api.skins.rerank.parse import parse_rerank
from router_service.api.skins.task_body import (
    TaskEndpoint,
    note_longest_input,
    read_fields_of_task,
    served_model,
    usage_of_task,
    usage_or_nothing,
)
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json
from router_service.core.rerank import RerankDocument, RerankRequest, RerankResult


class RerankEndpoint(TaskEndpoint):
    """Serve ``POST /rerank``."""

    name = "rerank"

    def parse(self, exchange: Exchange) -> RerankRequest:
        asked = parse_rerank(read_fields_of_task(exchange, "documents"))
        # Providers cut documents that are too long, so that the query alone has to fit.
        note_longest_input(exchange, len(asked.query.encode()))
        return asked

    def response(self, exchange: Exchange, asked: RerankRequest, result: RerankResult) -> bytes:
        return outgoing_json(render_ranking(result, asked, exchange))


def render_ranking(result: RerankResult, asked: RerankRequest, exchange: Exchange) -> dict[str, Any]:
    """Return the body of the response, which has the documents as the client sent them, unless it wants none."""
    usage = usage_or_nothing(exchange)
    units = {"search_units": usage.search_units} if usage.search_units is not None else {}
    return {
        "id": exchange.request.id,
        "model": served_model(exchange),
        "provider": exchange.outcome.provider_name,
        "results": [
            {"index": one.index, "relevance_score": one.score}
            | ({"document": _document(asked.documents[one.index])} if asked.return_documents else {})
            for one in result.ranked
        ],
        "usage": {"total_tokens": usage.prompt_tokens, **units, **usage_of_task(exchange)},
    }


def _document(document: RerankDocument) -> dict[str, str]:
    sent = {"text": document.text, "image": document.image_source}
    return {name: value for name, value in sent.items() if value is not None}
