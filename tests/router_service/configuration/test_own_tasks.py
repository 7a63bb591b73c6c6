"""Test embeddings and ranking by servers of the operator's own: found by their names, or declared in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.conftest import Stack, open_stack, serving

FILE = """
[providers.mine]
base_url = "{url}/v1"
discover_models = true

[providers.ranks]
base_url = "{url}/v2"
wire_format = "cohere"
discover_models = false

[models."acme/vectors"]
output_modalities = ["embeddings"]
context_length = 512

[models."acme/ranks"]
output_modalities = ["rerank"]

[[endpoints]]
provider = "mine"
model = "acme/vectors"
upstream_model = "vectors-1"
price = {{ prompt = 0.5, completion = 0 }}

[[endpoints]]
provider = "ranks"
model = "acme/ranks"
upstream_model = "ranks-1"

[[endpoints]]
provider = "mine"
model = "acme/ranks"
upstream_model = "ranks-in-a-format-without-them"
"""


async def list_models(_request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": name} for name in ("nomic-embed-text", "chatty-7b")]})


async def embed(request: Request) -> Response:
    body = await request.json()
    rows = [{"index": place, "embedding": [1.0, 0.0]} for place, _ in enumerate(body["input"])]
    return JSONResponse({"data": rows, "model": body["model"], "usage": {"prompt_tokens": 1000, "total_tokens": 1000}})


async def rank(request: Request) -> Response:
    body = await request.json()
    rows = [{"index": place, "relevance_score": float(place)} for place, _ in enumerate(body["documents"])]
    return JSONResponse({"results": rows, "usage": {"total_tokens": 9}})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("own")
    routes = [
        Route("/v1/models", list_models),
        Route("/v1/embeddings", embed, methods=["POST"]),
        Route("/v2/rerank", rank, methods=["POST"]),
    ]
    with serving(Starlette(routes=routes)) as url:
        file = Path(folder, "portolan.toml")
        file.write_text(FILE.format(url=url))
        with open_stack(folder / "data", config=file) as opened:
            yield opened


def post(stack: Stack, path: str, body: dict[str, object]) -> httpx2.Response:
    with stack.client as client:
        return client.post(path, json=body)


@pytest.mark.parametrize("model", ["acme/vectors", "mine/nomic-embed-text"], ids=["declared", "found by its name"])
def test_an_own_server_embeds(stack: Stack, model: str) -> None:
    found = post(stack, "/api/v1/embeddings", {"model": model, "input": ["one", "two"], "dimensions": 2})
    assert found.status_code == 200, found.text
    assert [row["embedding"] for row in found.json()["data"]] == [[1.0, 0.0]] * 2
    assert found.json()["usage"]["cost"] == pytest.approx(0.0005 if model == "acme/vectors" else 0)


def test_an_own_server_ranks(stack: Stack) -> None:
    found = post(stack, "/api/v1/rerank", {"model": "acme/ranks", "query": "tide", "documents": ["a", "b"]})
    assert found.status_code == 200, found.text
    assert [row["index"] for row in found.json()["results"]] == [1, 0]
    assert (found.json()["provider"], found.json()["usage"]["total_tokens"]) == ("ranks", 9)


@pytest.mark.parametrize("path", ["embeddings", "rerank"])
def test_a_key_that_the_server_echoes_reaches_nobody(tmp_path: Path, path: str) -> None:
    async def refuse(request: Request) -> Response:
        error = {"message": f"bad key {request.headers['authorization']}"}
        return JSONResponse({"error": error, **error}, status_code=401)

    routes = [
        Route("/v1/models", list_models),
        *(Route(place, refuse, methods=["POST"]) for place in ("/v1/embeddings", "/v2/rerank")),
    ]
    with serving(Starlette(routes=routes)) as url:
        secret, file = "sk-own-0123456789", Path(tmp_path, "portolan.toml")
        text = FILE.format(url=url)
        for name in ("mine", "ranks"):
            text = text.replace(f"[providers.{name}]\n", f'[providers.{name}]\nkey = "{secret}"\n')
        file.write_text(text)
        with open_stack(tmp_path / "data", config=file) as stack:
            model = "acme/vectors" if path == "embeddings" else "acme/ranks"
            fields = {"input": "hi"} if path == "embeddings" else {"query": "tide", "documents": ["a"]}
            found = post(stack, f"/api/v1/{path}", {"model": model, **fields})
            assert found.status_code >= 400
            assert "[redacted]" in found.text and secret not in found.text


def test_no_other_task_reaches_such_a_model(stack: Stack) -> None:
    body = {"model": "mine/nomic-embed-text", "messages": [{"role": "user", "content": "hi"}]}
    found = post(stack, "/api/v1/chat/completions", body)
    assert found.status_code == 400 and "is an embeddings model" in found.json()["error"]["message"]
    found = post(stack, "/api/v1/embeddings", {"model": "mine/chatty-7b", "input": "hi"})
    assert found.status_code == 400 and "is a chat model" in found.json()["error"]["message"]
    with stack.client as client:
        listed = {one["id"] for one in client.get("/api/v1/embeddings/models").json()["data"]}
    assert {"acme/vectors", "mine/nomic-embed-text"} <= listed and "mine/chatty-7b" not in listed
