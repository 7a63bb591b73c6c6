"""Test how embeddings are written in OpenAI's shape, and how its imitators' answers are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from data.catalogue import load_catalogue
from data.catalogue.task_facts import SPOKEN, task_is_spoken
from data.catalogue.types import Endpoint
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Completed, Ended, Metered
from router_service.providers.formats import FORMATS, TASK_FORMATS
from router_service.providers.formats.openai_chat.embeddings import OpenAIEmbeddings, read_usage

FORMAT = OpenAIEmbeddings()
ASKED = EmbeddingsRequest(inputs=["one"])
ROW = {"object": "embedding", "index": 0, "embedding": [1.0, 0.5]}


def endpoint(model: str, provider: str) -> Endpoint:
    return next(e for e in load_catalogue().endpoints[model] if e.provider == provider)


def body_at(model: str, provider: str, **fields: Any) -> dict[str, Any]:
    encoded = FORMAT.encode(EmbeddingsRequest(**{"inputs": ["one"]} | fields), endpoint(model, provider))
    assert encoded.request.url.endswith("/embeddings")
    found: dict[str, Any] = json.loads(encoded.request.body)
    return found


def test_the_registry_has_what_the_catalogue_routes_to() -> None:
    spoken = {(wire, task) for task, formats in SPOKEN.items() for wire in formats}
    assert set(TASK_FORMATS) == spoken
    assert all(task_is_spoken("chat", name) for name in FORMATS)


def test_base64_is_asked_for_where_the_dialect_has_it() -> None:
    assert body_at("openai/text-embedding-3-small", "openai") == {
        "model": "text-embedding-3-small",
        "input": ["one"],
        "encoding_format": "base64",
    }
    assert "encoding_format" not in body_at("qwen/qwen3-embedding-8b", "nebius")


def test_fields_have_the_providers_names() -> None:
    found = body_at("mistralai/mistral-embed", "mistral", dimensions=256, user="ann")
    assert found["output_dimension"] == 256 and "dimensions" not in found and "user" not in found


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3, "total_tokens": 3}, 3),
        ({"total_tokens": 4}, 4),
        ({"prompt_tokens": "5"}, 5),
        ({"prompt_tokens": -1, "total_tokens": 6}, 6),
        ({}, None),
        (None, None),
        ([], None),
        ({"prompt_tokens": 10**18}, None),
    ],
)
def test_usage_is_read_tolerantly(usage: Any, tokens: int | None) -> None:
    found = read_usage(usage)
    assert (found and found.prompt_tokens) == tokens


def test_an_answer_is_a_result_its_usage_and_an_end() -> None:
    events = FORMAT.decode(json.dumps({"data": [ROW], "usage": {"prompt_tokens": 3}}).encode(), ASKED)
    assert [type(event) for event in events] == [Completed, Metered, Ended]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "provider_unavailable"),
        (b"<html>", "provider_unavailable"),
        (b"[]", "provider_unavailable"),
        (b"{}", "provider_unavailable"),
        (b'{"data": null}', "provider_unavailable"),
        (b'{"data": []}', "provider_unavailable"),
        (b'{"data": [null]}', "provider_unavailable"),
        (b'{"data": [{"index": 0, "embedding": [1e999]}]}', "provider_unavailable"),
        (b'{"data": [{"index": 0, "embedding": [NaN]}]}', "provider_unavailable"),
        (b'{"error": {"message": "slow down", "code": 429}}', "rate_limit_exceeded"),
        (b'{"object": "error", "message": "engine died", "code": 500}', "provider_unavailable"),
        (b"[" * 5000, "provider_unavailable"),
    ],
)
def test_what_is_no_answer_is_a_typed_failure(body: bytes, kind: str) -> None:
    with pytest.raises(ApiError) as refused:
        FORMAT.decode(body, ASKED)
    assert refused.value.error_type == kind
