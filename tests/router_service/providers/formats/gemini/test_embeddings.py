"""Test Google's embeddings: what is sent, how answers are read, and OpenAI's client through a router."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.embeddings import unit_vector
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.events import Completed, Ended, Metered
from router_service.core.parts import Media, Text
from router_service.core.usage import Usage
from router_service.providers.formats.gemini.embeddings import GeminiEmbeddings
from tests.conftest import Stack
from tests.router_service.providers.formats.gemini.gemini_world import endpoint

FORMAT = GeminiEmbeddings()
NAME, MODEL, SEEING = "gemini-embedding-001", "google/gemini-embedding-001", "google/gemini-embedding-2"
STUDIO, VERTEX = endpoint(NAME), endpoint(NAME, "google-vertex")
PICTURE = Media(kind="image", media_type="image/png", data="iVBORw0KGgo=")
ONE, TWO = EmbeddingsRequest(inputs=["one"]), EmbeddingsRequest(inputs=["one", "two"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


def test_all_texts_are_asked_for_at_once() -> None:
    asked = EmbeddingsRequest(inputs=["a", [Text(text="b"), Text(text="c")]], dimensions=64, input_type="search_query")
    sent = FORMAT.encode(asked, STUDIO)
    shared = {"model": f"models/{NAME}", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 64}
    assert json.loads(sent.request.body) == {
        "requests": [
            shared | {"content": {"parts": [{"text": text} for text in texts]}} for texts in (["a"], ["b", "c"])
        ]
    }
    assert sent.request.url.endswith(f"/models/{NAME}:batchEmbedContents") and not sent.dropped


def test_vertex_predicts() -> None:
    extras: Any = {"title": json.loads('"T"'), "autoTruncate": False}
    asked = EmbeddingsRequest(inputs=["a"], dimensions=64, input_type="clustering", user="ann", extras=extras)
    sent = FORMAT.encode(asked, VERTEX)
    assert json.loads(sent.request.body) == {
        "instances": [{"task_type": "CLUSTERING", "title": "T", "content": "a"}],
        "parameters": {"autoTruncate": False, "outputDimensionality": 64},
    }
    assert sent.request.url.endswith(f"/models/{NAME}:predict") and sent.dropped == ("user",)


@pytest.mark.parametrize(
    ("purpose", "sent"),
    [("search_document", "RETRIEVAL_DOCUMENT"), ("code_retrieval_query", "CODE_RETRIEVAL_QUERY"), ("image", None)],
)
def test_a_purpose_is_sent_or_reported(purpose: str, sent: str | None) -> None:
    encoded = FORMAT.encode(EmbeddingsRequest(inputs=["a"], input_type=purpose), STUDIO)
    assert json.loads(encoded.request.body)["requests"][0].get("taskType") == sent
    assert encoded.dropped == (() if sent else ("input_type",))


@pytest.mark.parametrize(
    ("at", "inputs", "words"),
    [
        (STUDIO, ["a"] * 101, "input has 101 inputs, but .* embeds at most 100 in one request"),
        (VERTEX, ["a"] * 251, "embeds at most 250"),
        (STUDIO, [[1, 2]], r"input\[0\] has tokens"),
        (STUDIO, [[Text(text="a"), PICTURE]], r"input\[0\] has image media"),
        (VERTEX, [[PICTURE]], r"input\[0\] has image media"),
        (
            endpoint("gemini-embedding-2"),
            [[Media(kind="audio", data="AAAA")]],
            "has audio media.*texts, or images",
        ),
    ],
)
def test_what_the_vendor_does_not_embed_is_refused(at: Any, inputs: Any, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        FORMAT.encode(EmbeddingsRequest(inputs=inputs), at)


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"embeddings": [{"values": [1, 0]}, {"values": [0.5, 1]}], "usageMetadata": {"promptTokenCount": 4}}, 4),
        ({"embeddings": [{"values": [1, 0]}, {"values": [0.5, 1]}]}, None),
        (
            {
                "predictions": [
                    {"embeddings": {"values": [1, 0], "statistics": {"token_count": 3.0, "truncated": False}}},
                    {"embeddings": {"values": [0.5, 1], "statistics": {"token_count": 1}}},
                ]
            },
            4,
        ),
        ({"predictions": [{"embeddings": {"values": [1, 0]}}, {"embeddings": {"values": [0.5, 1]}}]}, None),
    ],
)
def test_both_forms_of_an_answer_are_read(body: Any, usage: int | None) -> None:
    completed, *metered, _ = FORMAT.decode(json.dumps(body).encode(), TWO)
    assert isinstance(completed, Completed)
    assert [one.tolist() for one in completed.result.vectors] == [[1, 0], [0.5, 1]]  # type: ignore[union-attr]
    assert metered == ([] if usage is None else [Metered(Usage(usage, 0))])


def test_an_error_within_a_200_is_one() -> None:
    body = {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}
    with pytest.raises(ApiError) as refused:
        FORMAT.decode(json.dumps(body).encode(), ONE)
    assert refused.value.error_type == "rate_limit_exceeded"


@given(JSON)
def test_any_body_is_an_answer_or_a_typed_failure(found: Any) -> None:
    for wrapped in (found, {"embeddings": found}, {"predictions": found}, {"predictions": [{"embeddings": found}]}):
        with contextlib.suppress(ApiError):
            assert isinstance(FORMAT.decode(json.dumps(wrapped).encode(), ONE)[-1], Ended)


def test_a_picture_is_embedded_and_charged_as_one(client: openai.OpenAI, market: Stack) -> None:
    """The newer model reads what vectors are for from the text, so that the purpose is reported as left out."""
    url = f"data:image/png;base64,{PICTURE.data}"
    parts: Any = [{"content": [{"type": "text", "text": "A chart."}, {"type": "image_url", "image_url": {"url": url}}]}]
    found = client.embeddings.with_raw_response.create(model=SEEING, input=parts, extra_body={"input_type": "query"})
    assert found.parse().data[0].embedding == unit_vector(f"A chart.\n{PICTURE.data}", 3072)
    row = market.record(found.headers["x-generation-id"])
    charged = {one["meter"]: (one["quantity"], one["nano"]) for one in row["charges"]}
    assert charged == {"prompt": (2, 400), "image_token": (258, 258 * 450)}
    assert row["dropped_parameters"] == ["input_type"]


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"dimensions": 256, "user": "ann"}])
def test_openais_client_is_answered(client: openai.OpenAI, market: Stack, form: Any) -> None:
    """The client asks for base64 by itself. What the lab charges for is what the sheet says."""
    market.lab.refused.clear()
    texts = ["A chart of the harbour", "The depth at low tide"]
    found = client.embeddings.with_raw_response.create(model=MODEL, input=texts, **form)
    answer, length = found.parse(), form.get("dimensions", 3072)
    assert [one.embedding for one in answer.data] == [unit_vector(text, length) for text in texts]
    tokens = sum(len(text) // 4 for text in texts)
    row = market.record(found.headers["x-generation-id"])
    charged = [(one["meter"], one["quantity"], one["nano"]) for one in row["charges"]]
    assert charged == [("prompt", tokens, tokens * 150)] and row["wire_format"] == "gemini"
    assert answer.usage.prompt_tokens == tokens and not market.lab.refused


def test_the_vendors_refusal_reaches_the_client(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="output_dimensionality must be between 1 and 3072"):
        client.embeddings.create(model=MODEL, input="a", dimensions=4000)
    with pytest.raises(openai.BadRequestError, match="embeds at most 100"):
        client.embeddings.create(model=MODEL, input=["a"] * 101)
