"""Test embeddings through a router in front of a lab: inputs, encodings, refusals, fallbacks, charges and records."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from lab.embeddings import unit_vector
from tests.conftest import Stack, open_stack

PATH = "/api/v1/embeddings"
SMALL, ADA, QWEN = "openai/text-embedding-3-small", "openai/text-embedding-ada-002", "qwen/qwen3-embedding-8b"
BODY: dict[str, Any] = {"model": SMALL, "input": "The quick brown fox"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("embeddings")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def healthy(stack: Stack) -> Iterator[None]:
    yield
    stack.lab.modes.clear()


def ask(stack: Stack, path: str = PATH, **fields: Any) -> httpx2.Response:
    with stack.client as client:
        return client.post(path, json=BODY | fields)


def vectors(response: httpx2.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    return [row["embedding"] for row in response.json()["data"]]


@pytest.mark.parametrize("path", [PATH, "/v1/embeddings", f"{PATH}/"])
def test_a_text_has_the_vector_that_the_provider_made(stack: Stack, path: str) -> None:
    found = ask(stack, path).json()
    assert found["object"] == "list" and found["model"] == SMALL and found["id"].startswith("gen-")
    assert found["data"] == [{"object": "embedding", "index": 0, "embedding": unit_vector(BODY["input"], 1536)}]
    tokens = found["usage"]["prompt_tokens"]
    assert tokens == found["usage"]["total_tokens"] == len(BODY["input"]) // 4
    assert found["usage"]["cost"] == pytest.approx(tokens * 0.02e-6) and found["usage"]["is_byok"] is False


@pytest.mark.parametrize(
    ("sent", "texts"),
    [
        (["one", "two", "one"], ["one", "two", "one"]),
        ([11, 22], ["11 22"]),
        ([[11, 22], [33]], ["11 22", "33"]),
        ([{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], ["a\nb"]),
    ],
    ids=["strings", "tokens", "arrays of tokens", "content"],
)
def test_every_input_has_one_vector_in_its_place(stack: Stack, sent: Any, texts: list[str]) -> None:
    assert vectors(ask(stack, input=sent)) == [unit_vector(text, 1536) for text in texts]


@pytest.mark.parametrize(
    ("model", "native"), [(SMALL, 1536), (QWEN, 4096)], ids=["provider sends base64", "provider sends numbers"]
)
def test_base64_has_the_same_numbers(stack: Stack, model: str, native: int) -> None:
    as_numbers = vectors(ask(stack, model=model, input=["one", "two"], encoding_format="float"))
    as_text = vectors(ask(stack, model=model, input=["one", "two"], encoding_format="base64"))
    unpacked = [list(struct.unpack(f"<{native}f", base64.b64decode(text))) for text in as_text]
    assert unpacked == as_numbers == [unit_vector("one", native), unit_vector("two", native)]


def test_dimensions_reach_the_provider(stack: Stack) -> None:
    assert vectors(ask(stack, dimensions=256)) == [unit_vector(BODY["input"], 256)]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"input": ""}, "input is an empty string"),
        ({"input": []}, "input is an empty array"),
        ({"input": ["a", ""]}, "input[1] is an empty string"),
        ({"input": [[1], []]}, "input[1] is an empty array of tokens"),
        ({"input": ["a", 1]}, "input mixes kinds of inputs"),
        ({"input": ["a"] * 2049}, "input has 2,049 inputs; send at most 2,048"),
        ({"input": {"text": "a"}}, "input is wrong"),
        ({"input": [-1]}, "input[0] is wrong"),
        ({"input": [{"content": []}]}, "input[0].content has 0 parts"),
        ({"input": [{"content": [{"type": "text", "text": ""}]}]}, "input[0].content[0].text is an empty string"),
        ({"input": [{"content": [{"type": "smell", "text": ""}]}]}, "input[0].content[0].type is wrong"),
        ({"input": None}, "input is wrong"),
        ({"encoding_format": "int8"}, "encoding_format is wrong"),
        ({"dimensions": 0}, "dimensions is wrong"),
        ({"dimensions": 10**9}, "dimensions is wrong"),
        ({"dimensions": "256"}, "dimensions is wrong"),
        ({"user": 7}, "user is wrong"),
        ({"stream": True}, "stream must be false or left out"),
        ({"stream": 1}, 'stream must be true or false; got "1"'),
        ({"stream": "true"}, "stream must be true or false"),
        ({"provider": {"order": "openai"}}, "provider.order must be an array"),
        ({"model": "openai/gpt-5-mini"}, "openai/gpt-5-mini is a chat model, but this route needs an embeddings model"),
        ({"model": "acme/embed"}, "acme/embed is not a valid model ID; GET /api/v1/embeddings/models lists"),
        ({"model": ""}, "model is missing"),
    ],
)
def test_a_wrong_field_is_refused_with_its_name(stack: Stack, fields: dict[str, Any], sentence: str) -> None:
    calls = stack.lab.calls.total()
    found = ask(stack, **fields)
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith(sentence), found.json()["error"]["message"]
    assert stack.lab.calls.total() == calls
    row = stack.record(found.headers["x-generation-id"])
    assert row and (row["task"], row["skin"], row["status"]) == ("embeddings", "embeddings", 400)


def test_a_missing_input_is_named(stack: Stack) -> None:
    with stack.client as client:
        found = client.post(PATH, json={"model": SMALL})
    assert found.status_code == 400 and found.json()["error"]["message"].startswith("input is missing")


def test_a_chat_request_for_an_embeddings_model_is_told_its_route(stack: Stack) -> None:
    with stack.client as client:
        body = {"model": SMALL, "messages": [{"role": "user", "content": "hello"}]}
        found = client.post("/api/v1/chat/completions", json=body)
    error = found.json()["error"]
    assert found.status_code == 400 and error["availability"]["code"] == "wrong_endpoint"
    assert "send the request to /api/v1/embeddings" in error["message"]


def test_the_providers_refusal_reaches_the_client(stack: Stack) -> None:
    found = ask(stack, model=ADA, dimensions=256)
    assert found.status_code == 400
    assert "This model does not support specifying dimensions." in found.json()["error"]["message"]


def test_media_that_nobody_embeds_are_refused_with_a_sentence(stack: Stack) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    found = ask(stack, input=[{"content": [picture]}])
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith("input[0].content has media")


def test_vectors_that_cannot_be_used_lead_to_the_next_endpoint(stack: Stack) -> None:
    asked = {"model": QWEN, "input": ["one", "two"], "provider": {"order": ["nebius", "scaleway"]}}
    stack.lab.modes["nebius"] = {"mode": "garble", "code": "missing_vector"}
    found = ask(stack, **asked)
    assert vectors(found) == [unit_vector("one", 4096), unit_vector("two", 4096)]
    row = stack.record(found.headers["x-generation-id"])
    assert row is not None
    assert [(a["provider"], a["error_type"]) for a in row["attempts"]] == [
        ("nebius", "provider_unavailable"),
        ("scaleway", None),
    ]


def test_vectors_shorter_than_asked_for_are_no_answer(stack: Stack) -> None:
    stack.lab.modes["openai"] = {"mode": "garble", "code": "short_vector"}
    found = ask(stack, dimensions=256)
    assert found.status_code == 502
    assert "256 dimensions were asked for, and 255 came" in found.json()["error"]["message"]


@pytest.mark.parametrize("mode", [{"mode": "error", "status": 503}, {"mode": "rate_limit"}, {"mode": "html"}])
def test_a_failing_provider_leads_to_the_next_endpoint(stack: Stack, mode: dict[str, Any]) -> None:
    stack.lab.modes["nebius"] = mode
    found = ask(stack, model=QWEN, provider={"order": ["nebius", "scaleway"]})
    assert vectors(found) == [unit_vector(BODY["input"], 4096)]
    assert found.json()["provider"] == "Scaleway"


def test_the_record_has_task_usage_and_charges(stack: Stack) -> None:
    found = ask(stack, user="ann", provider={"only": ["openai"]})
    row = stack.record(found.headers["x-generation-id"])
    assert row is not None
    tokens = len(BODY["input"]) // 4
    assert (row["task"], row["skin"], row["wire_format"]) == ("embeddings", "embeddings", "openai_chat")
    assert (row["model"], row["endpoint"]) == (SMALL, "openai:text-embedding-3-small")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (tokens, 0)
    assert [(c["meter"], c["quantity"], c["nano"]) for c in row["charges"]] == [("prompt", tokens, tokens * 20)]
    assert row["cost_nano"] == tokens * 20 and not row["stream"] and row["user_hash"]
    assert row["parameters"] == ["input", "model", "provider", "user"]
    with stack.client as client:
        shown = client.get("/api/v1/generation", params={"id": row["generation_id"]}).json()["data"]
    assert shown["api_type"] == "embeddings" and shown["tokens_prompt"] == tokens


def test_a_parameter_that_the_provider_does_not_know_is_reported(stack: Stack) -> None:
    found = ask(stack, input_type="search_query")
    assert found.status_code == 200
    assert found.headers["x-portolan-dropped-parameters"] == "input_type"


def test_many_short_inputs_fit_where_one_long_input_does_not(stack: Stack) -> None:
    text = "word " * 200
    assert len(vectors(ask(stack, model="sentence-transformers/all-minilm-l6-v2", input=[text] * 40))) == 40
    found = ask(stack, model="sentence-transformers/all-minilm-l6-v2", input=[text * 40])
    assert found.status_code == 404 and "context_length" in found.json()["error"]["message"]


@pytest.mark.parametrize("key", [None, "sk-wrong"])
def test_a_key_is_required(stack: Stack, key: str | None) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    found = httpx2.post(f"{stack.url}{PATH}", json=BODY, headers=headers)
    assert found.status_code == 401 and found.json()["error"]["code"] == 401


def test_the_rules_of_a_key_hold(stack: Stack) -> None:
    key = stack.new_key(max_price={"prompt": 0.01})
    found = httpx2.post(f"{stack.url}{PATH}", json=BODY, headers={"authorization": f"Bearer {key}"})
    assert found.status_code == 404 and "max_price" in found.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"\xff"}', b'{"input":' + b"[" * 300 + b"]" * 300 + b"}"])
def test_a_body_that_is_no_request_is_refused(stack: Stack, body: bytes) -> None:
    with stack.client as client:
        found = client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert found.status_code == 400 and found.json()["error"]["message"]


def test_embeddings_models_are_listed_apart_from_chat_models(stack: Stack) -> None:
    with stack.client as client:
        own = client.get("/api/v1/embeddings/models").json()
        page = client.get("/api/v1/embeddings/models", params={"offset": 1, "limit": 2}).json()
        chat = client.get("/api/v1/models").json()
        both = client.get("/api/v1/models", params={"output_modalities": "embeddings"}).json()
        endpoints = client.get(f"/api/v1/models/{SMALL}/endpoints").json()["data"]
    names = [one["id"] for one in own["data"]]
    assert SMALL in names and own["total_count"] == len(names)
    assert [one["id"] for one in page["data"]] == names[1:3]
    assert not set(names) & {one["id"] for one in chat["data"]}
    assert {one["id"] for one in both["data"]} == set(names)
    small = next(one for one in own["data"] if one["id"] == SMALL)
    assert small["architecture"]["output_modalities"] == ["embeddings"]
    assert small["pricing"]["prompt"] == "0.00000002" and small["pricing"]["completion"] == "0"
    assert small["supported_parameters"] == []
    assert [one["provider_name"] for one in endpoints["endpoints"]] == ["OpenAI"]


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("HEAD", 405), ("OPTIONS", 204)])
def test_other_methods_name_the_right_one(stack: Stack, method: str, status: int) -> None:
    found = httpx2.request(method, f"{stack.url}{PATH}")
    assert (found.status_code, found.headers["allow"]) == (status, "OPTIONS, POST")
