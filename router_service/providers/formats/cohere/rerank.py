"""Translate ranking to and from Cohere's ``/rerank``, which servers such as vLLM imitate.

Source: Cohere API reference v2, "Rerank API" (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.core.http_request import HttpRequest
from router_service.core.rerank import RankedDocument, RerankDocument, RerankRequest, RerankResult
from router_service.core.usage import Usage
from router_service.providers.counts import token_count
from router_service.providers.formats.cohere.wire import http_error, read_object, usage_of_meta
from router_service.providers.task_format import EncodedTask, completed, unusable

# Scores lie between 0 and 1; those of other servers may be logits.
MAX_SCORE = 1e6
_encode = msgspec.json.Encoder().encode


class CohereRerank:
    """Implement ``TaskFormat`` for ranking."""

    def encode(self, asked: RerankRequest, endpoint: Endpoint) -> EncodedTask:
        body: dict[str, Any] = {
            "model": endpoint.upstream_model,
            "query": asked.query,
            "documents": [_text(one, place, endpoint) for place, one in enumerate(asked.documents)],
        }
        if asked.top_n is not None:
            body["top_n"] = asked.wanted
        body |= {name: raw for name, raw in asked.extras.items() if name not in body}
        request = HttpRequest(f"{endpoint.base_url}/rerank", {"content-type": "application/json"}, _encode(body))
        return EncodedTask(request)

    def decode(self, body: bytes, asked: RerankRequest) -> list[Event]:
        found = read_object(body, "ranking")
        rows = found.get("results")
        if not isinstance(rows, list):
            raise unusable("ranking", "the response has no results")
        result = RerankResult(_ranked(rows, asked))
        usage = usage_of_meta(found.get("meta")) or _usage_of_servers(found.get("usage"))
        return completed(result, found, usage)

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return http_error(status, body, headers, endpoint)


def _ranked(rows: list[Any], asked: RerankRequest) -> list[RankedDocument]:
    """Return the ranked documents, the most relevant first. Raises ``ApiError`` 502 where some are missing."""
    scores: dict[int, float] = {}
    for row in rows:
        index: Any = row.get("index") if isinstance(row, dict) else None
        score: Any = row.get("relevance_score") if isinstance(row, dict) else None
        if type(index) is not int or not 0 <= index < len(asked.documents) or index in scores:
            raise unusable("ranking", "the results have wrong or repeated indices")
        if type(score) not in (float, int) or not abs(score) < MAX_SCORE:
            raise unusable("ranking", "a relevance score is no possible number")
        scores[index] = float(score)
    if len(scores) < asked.wanted:
        raise unusable("ranking", f"{asked.wanted} documents were to be ranked, and {len(scores)} came")
    best = sorted(scores.items(), key=lambda found: (-found[1], found[0]))
    return [RankedDocument(index, score) for index, score in best[: asked.wanted]]


def _usage_of_servers(found: Any) -> Usage | None:
    """Return the tokens that servers without billed units count."""
    tokens = token_count(found.get("total_tokens")) if isinstance(found, dict) else None
    return None if tokens is None else Usage(tokens, 0)


def _text(document: RerankDocument, place: int, endpoint: Endpoint) -> str:
    if document.image is not None or document.text is None:
        raise ApiError(
            "invalid_request",
            f"documents[{place}].image cannot be ranked: {endpoint.provider_name} ranks text alone; send text",
        )
    return document.text
