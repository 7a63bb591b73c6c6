"""Test ranking through a router in front of a lab: documents, refusals, charges by search unit and records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lab.cohere import search_units
from lab.embeddings import unit_vector
from tests.conftest import Stack, open_stack

PATH, MODEL = "/api/v1/rerank", "cohere/rerank-v3.5"
DOCUMENTS = ["A chart of the harbour", "When is high tide at Genoa", "A tide table"]
BODY: dict[str, Any] = {"model": MODEL, "query": "When is high tide?", "documents": DOCUMENTS}
UNIT_NANO = 2_000_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("rerank")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def healthy(stack: Stack) -> Iterator[None]:
    yield
    stack.lab.modes.clear()


def ask(stack: Stack, path: str = PATH, **fields: Any) -> httpx2.Response:
    with stack.client as client:
        return client.post(path, json=BODY | fields)


@pytest.mark.parametrize("path", [PATH, "/v1/rerank"])
@pytest.mark.parametrize(("top_n", "count"), [(None, 3), (1, 1), (2, 2), (100, 3)])
def test_the_most_relevant_documents_come_first(stack: Stack, path: str, top_n: int | None, count: int) -> None:
    found = ask(stack, path, **({} if top_n is None else {"top_n": top_n})).json()
    assert [row["index"] for row in found["results"]] == [1, 2, 0][:count]
    scores = [row["relevance_score"] for row in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert [row["document"] for row in found["results"]] == [{"text": DOCUMENTS[place]} for place in [1, 2, 0][:count]]
    assert found["id"].startswith("gen-") and (found["model"], found["provider"]) == (MODEL, "Cohere")


def test_a_client_may_want_no_documents(stack: Stack) -> None:
    """Cohere's version 2 refuses the field of version 1, which is not sent to it."""
    stack.lab.refused.clear()
    for wanted in (True, None, False):
        (row,) = ask(stack, return_documents=wanted, top_n=1).json()["results"]
        assert ("document" in row) is (wanted is not False)
    assert not stack.lab.refused


def test_objects_with_text_are_ranked_as_texts_are(stack: Stack) -> None:
    written = ask(stack, documents=[{"text": one} for one in DOCUMENTS]).json()["results"]
    assert written == ask(stack).json()["results"]


def test_long_documents_are_ranked(stack: Stack) -> None:
    """A hundred documents of 2,000 characters are far more than the bound of a field that holds no content."""
    written = [f"{one} " * 200 for one in DOCUMENTS * 33]
    found = ask(stack, documents=written, query="When is high tide? " * 20)
    assert found.status_code == 200, found.text
    assert len(found.json()["results"]) == len(written)


@pytest.mark.parametrize("count", [1, 100, 101, 250])
def test_search_units_are_charged(stack: Stack, count: int) -> None:
    documents = [f"document {n}" for n in range(count)]
    found = ask(stack, documents=documents)
    units = search_units(BODY["query"], documents)
    usage = found.json()["usage"]
    assert units == -(-count // 100) == usage["search_units"]
    assert usage["cost"] == pytest.approx(units * 0.002)
    row = stack.record(found.headers["x-generation-id"])
    assert row is not None and (row["task"], row["skin"], row["wire_format"]) == ("rerank", "rerank", "cohere")
    assert [(c["meter"], c["quantity"], c["nano"]) for c in row["charges"]] == [
        ("search_unit", units, units * UNIT_NANO)
    ]
    assert row["cost_nano"] == row["cost_fees_nano"] == units * UNIT_NANO
    with stack.client as client:
        shown = client.get("/api/v1/generation", params={"id": row["generation_id"]}).json()["data"]
    assert shown["api_type"] == "rerank" and shown["total_cost"] == pytest.approx(units * 0.002)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"query": ""}, "query is missing or empty"),
        ({"query": None}, "query is wrong"),
        ({"query": 7}, "query is wrong"),
        ({"documents": []}, "documents is an empty array"),
        ({"documents": "one"}, "documents is wrong"),
        ({"documents": None}, "documents is wrong"),
        ({"documents": ["a", ""]}, "documents[1] is an empty string"),
        ({"documents": [{}]}, "documents[0] has neither text nor image"),
        ({"documents": [{"title": "a"}]}, "documents[0] is wrong: object contains unknown field `title`"),
        ({"documents": ["a"] * 10_001}, "documents has 10,001 documents; send at most 10,000"),
        ({"top_n": 0}, "top_n is wrong"),
        ({"top_n": "2"}, "top_n is wrong"),
        ({"return_documents": "no"}, "return_documents is wrong"),
        ({"stream": True}, "stream must be false or left out"),
        ({"stream": 1}, 'stream must be true or false; got "1"'),
        ({"stream": "true"}, "stream must be true or false"),
        ({"model": "openai/text-embedding-3-small"}, "openai/text-embedding-3-small is an embeddings model"),
        ({"model": "openai/gpt-5-mini"}, "openai/gpt-5-mini is a chat model, but this route needs a rerank model"),
        ({"documents": [{"image": "data:image/png;base64,AAAA"}]}, "documents[0].image cannot be ranked"),
    ],
)
def test_a_wrong_field_is_refused_with_its_name(stack: Stack, fields: dict[str, Any], sentence: str) -> None:
    calls = stack.lab.completed.total()
    found = ask(stack, **fields)
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith(sentence), found.json()["error"]["message"]
    assert stack.lab.completed.total() == calls


def test_a_ranking_without_all_documents_is_no_answer(stack: Stack) -> None:
    stack.lab.modes["cohere"] = {"mode": "garble", "code": "missing_vector"}
    found = ask(stack)
    assert found.status_code == 502
    assert "3 documents were to be ranked, and 2 came" in found.json()["error"]["message"]
    assert "search_unit" not in str(stack.record(found.headers["x-generation-id"]))


def test_the_providers_limit_reaches_the_client(stack: Stack) -> None:
    stack.lab.modes["cohere"] = {"mode": "rate_limit", "retry_after": "7"}
    found = ask(stack)
    assert (found.status_code, found.headers["retry-after"]) == (429, "7")


def test_rerank_models_are_listed_with_the_price_of_a_search(stack: Stack) -> None:
    with stack.client as client:
        listed = client.get("/api/v1/models", params={"output_modalities": "rerank"}).json()["data"]
        names = {one["id"]: one for one in listed}
        chat = client.get("/api/v1/models").json()["data"]
    assert {"cohere/rerank-v3.5", "cohere/rerank-4-pro", "cohere/rerank-4-fast"} <= set(names)
    assert names[MODEL]["pricing"]["request"] == "0.002" and names[MODEL]["pricing"]["prompt"] == "0"
    assert not set(names) & {one["id"] for one in chat}


@pytest.mark.parametrize(
    ("price", "status"), [({"request": 0.001}, 404), ({"request": 0.002}, 200), ({"prompt": 0.0}, 200)]
)
def test_the_price_of_a_search_can_be_limited(stack: Stack, price: dict[str, float], status: int) -> None:
    assert ask(stack, provider={"max_price": price}).status_code == status


@pytest.mark.parametrize(("dimensions", "length"), [(None, 1536), (256, 256)])
@pytest.mark.parametrize("kind", ["texts", "content"])
def test_cohere_embeds_in_its_own_format(stack: Stack, dimensions: int | None, length: int, kind: str) -> None:
    texts = ["one", "two"]
    sent: Any = texts if kind == "texts" else [{"content": [{"type": "text", "text": text}]} for text in texts]
    body: dict[str, Any] = {"model": "cohere/embed-v4.0", "input": sent, "input_type": "search_query"}
    with stack.client as client:
        found = client.post("/api/v1/embeddings", json=body | ({"dimensions": dimensions} if dimensions else {}))
    assert [row["embedding"] for row in found.json()["data"]] == [unit_vector(text, length) for text in texts]
    assert found.json()["usage"]["prompt_tokens"] == 2 and found.json()["usage"]["cost"] > 0
    assert "x-portolan-dropped-parameters" not in found.headers


def test_cohere_embeds_images_that_come_as_data(stack: Stack) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    sent = [{"content": [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": url}}]}]
    with stack.client as client:
        found = client.post("/api/v1/embeddings", json={"model": "cohere/embed-v4.0", "input": sent})
        more = client.post("/api/v1/embeddings", json={"model": "cohere/embed-v4.0", "input": ["a"] * 97})
        tokens = client.post("/api/v1/embeddings", json={"model": "cohere/embed-v4.0", "input": [1, 2]})
    assert found.json()["data"][0]["embedding"] == unit_vector(f"one\n{url}", 1536)
    assert more.status_code == 400 and "embeds at most 96" in more.json()["error"]["message"]
    assert tokens.status_code == 400 and "input[0] has tokens" in tokens.json()["error"]["message"]
