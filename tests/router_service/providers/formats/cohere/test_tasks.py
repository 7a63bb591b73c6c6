"""Test how Cohere's answers to embeddings and rankings are read, and that broken ones are typed failures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue import load_catalogue
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Completed, Ended, Metered
from router_service.core.rerank import RerankDocument, RerankRequest
from router_service.core.usage import Usage
from router_service.providers.formats.cohere.embeddings import CohereEmbeddings
from router_service.providers.formats.cohere.rerank import CohereRerank
from router_service.providers.formats.cohere.wire import http_error, usage_of_meta

RANKING, EMBEDDING = CohereRerank(), CohereEmbeddings()
ASKED = RerankRequest(query="tide", documents=[RerankDocument(text="a"), RerankDocument(text="b")])
ONE = EmbeddingsRequest(inputs=["one"])
ENDPOINT = load_catalogue().endpoints["cohere/rerank-v3.5"][0]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


def row(index: Any, score: Any) -> dict[str, Any]:
    return {"index": index, "relevance_score": score}


def ranked(*rows: Any, asked: RerankRequest = ASKED) -> list[tuple[int, float]]:
    events = RANKING.decode(json.dumps({"results": rows}).encode(), asked)
    assert isinstance(events[0], Completed) and isinstance(events[-1], Ended)
    return [(one.index, one.score) for one in events[0].result.ranked]  # type: ignore[union-attr]


def test_documents_are_ordered_by_their_scores() -> None:
    assert ranked(row(0, 0.1), row(1, 0.9)) == ranked(row(1, 0.9), row(0, 0.1)) == [(1, 0.9), (0, 0.1)]
    assert ranked(row(0, 1), row(1, 1)) == [(0, 1.0), (1, 1.0)]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(0, 0.5)],
        [row(0, 0.5), row(0, 0.5)],
        [row(0, 0.5), row(2, 0.5)],
        [row(0, 0.5), row(-1, 0.5)],
        [row(0, 0.5), row("1", 0.5)],
        [row(0, 0.5), row(True, 0.5)],
        [row(0, 0.5), row(1, None)],
        [row(0, 0.5), row(1, True)],
        [row(0, 0.5), row(1, 10**400)],
        [row(0, 0.5), None],
    ],
)
def test_a_ranking_that_is_not_complete_is_a_failure(rows: list[Any]) -> None:
    with pytest.raises(ApiError) as refused:
        ranked(*rows)
    assert refused.value.error_type == "provider_unavailable"


@given(JSON)
def test_any_body_is_an_answer_or_a_typed_failure(found: Any) -> None:
    for wrapped in (found, {"results": found}, {"embeddings": found}, {"embeddings": {"float": found}, "meta": found}):
        body = json.dumps(wrapped).encode()
        for decode in (lambda b: RANKING.decode(b, ASKED), lambda b: EMBEDDING.decode(b, ONE)):
            try:
                assert isinstance(decode(body)[-1], Ended)
            except ApiError as error:
                assert error.error_type == "provider_unavailable"


def test_both_encodings_of_a_vector_are_read() -> None:
    for embeddings in ({"float": [[1.0, 0.5]]}, {"base64": ["AACAPwAAAD8="]}):
        body = json.dumps({"embeddings": embeddings, "meta": {"billed_units": {"input_tokens": 3.0}}}).encode()
        completed, metered, _ = EMBEDDING.decode(body, ONE)
        assert isinstance(completed, Completed) and isinstance(metered, Metered)
        assert completed.result.vectors[0].tolist() == [1.0, 0.5]  # type: ignore[union-attr]
        assert metered.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("meta", "usage"),
    [
        ({"billed_units": {"search_units": 2}}, Usage(0, 0, search_units=2)),
        ({"billed_units": {"input_tokens": 5, "image_tokens": 7}}, Usage(12, 0, image_prompt_tokens=7)),
        ({"billed_units": {"search_units": -1}}, None),
        ({"billed_units": {}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_billed_units_are_the_usage(meta: Any, usage: Usage | None) -> None:
    assert usage_of_meta(meta) == usage


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"message":"invalid request"}', "invalid_request"),
        (401, b'{"message":"invalid api token"}', "provider_unavailable"),
        (404, b'{"message":"model not found"}', "provider_unavailable"),
        (422, b'{"message":"invalid"}', "unprocessable"),
        (429, b'{"message":"slow down"}', "rate_limit_exceeded"),
        (498, b"", "provider_unavailable"),
        (500, b"<html>", "provider_unavailable"),
        (503, b"[", "provider_overloaded"),
    ],
)
def test_errors_are_typed(status: int, body: bytes, kind: str) -> None:
    error = http_error(status, body, {"retry-after": "3"}, ENDPOINT)
    assert (error.error_type, error.upstream_status, error.retry_after) == (kind, status, 3.0)
