"""Test methods, paths, ids and compression as every route of the API has them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.conftest import Stack, open_stack

CHAT = "/api/v1/chat/completions"
HOT = [CHAT, "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"]
BODY = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("routes")) as opened:
        yield opened


@pytest.mark.parametrize("path", HOT)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method_on_a_hot_path_names_the_right_one(stack: Stack, path: str, method: str) -> None:
    found = httpx2.request(method, f"{stack.url}{path}")
    assert (found.status_code, found.headers["allow"]) == (405, "OPTIONS, POST")
    assert found.json()["error"]["message"] == f"{method} is not allowed at {path}; send POST"


def test_a_wrong_method_on_another_path_names_the_right_ones(stack: Stack) -> None:
    found = httpx2.post(f"{stack.url}/api/v1/models", json={})
    assert (found.status_code, found.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_options_without_an_origin_names_the_methods(stack: Stack) -> None:
    found = httpx2.options(f"{stack.url}{CHAT}")
    assert (found.status_code, found.headers["allow"], found.content) == (204, "OPTIONS, POST", b"")


@pytest.mark.parametrize("path", ["/api/v1/models", "/health", "/api/v1/key", "/api/v1/nothing", "/docs", CHAT])
def test_head_has_the_head_of_get(stack: Stack, path: str) -> None:
    with stack.client as client:
        found, whole = client.head(path), client.get(path)
        assert (found.status_code, found.content) == (whole.status_code, b"")
        # The connection is still in step.
        assert client.get("/health").status_code == 200
    assert found.headers["content-type"] == whole.headers["content-type"]


@pytest.mark.parametrize("path", [f"{path}/" for path in HOT])
def test_a_slash_at_the_end_of_a_hot_path_is_ignored(stack: Stack, path: str) -> None:
    with stack.client as client:
        assert client.post(path, json=BODY).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/models/", "/v1/key/", "/health/", "/docs/"])
def test_a_slash_at_the_end_of_another_path_is_ignored(stack: Stack, path: str) -> None:
    with stack.client as client:
        assert client.get(path).status_code == 200


def test_only_slashes_are_a_path_without_a_route(stack: Stack) -> None:
    assert [httpx2.get(f"{stack.url}{path}").status_code for path in ("/", "//", "///")] == [404] * 3


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("model", ["openai/gpt-oss-120b", "acme/unknown"])
def test_a_generation_echoes_the_clients_request_id(stack: Stack, path: str, model: str) -> None:
    with stack.client as client:
        body = BODY | {"model": model}
        mine = client.post(path, json=body, headers={"x-request-id": "Order-7/a.b:c_d"})
        own = client.post(path, json=body)
    assert mine.headers["x-request-id"] == "Order-7/a.b:c_d"
    assert own.headers["x-request-id"] == own.headers["x-generation-id"]


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "<b>", '"quoted"', "d\xe9j\xe0"])
def test_a_request_id_that_is_none_is_not_echoed(stack: Stack, sent: str) -> None:
    headers = {"x-request-id": sent.encode("latin-1")}
    with stack.client as client:
        hot = client.post(CHAT, json=BODY, headers=headers)
        cold = client.get("/api/v1/models/count", headers=headers)
    assert hot.headers["x-request-id"] == hot.headers["x-generation-id"]
    assert cold.headers["x-request-id"].startswith("req-")


def test_other_routes_have_request_ids_too(stack: Stack) -> None:
    with stack.client as client:
        for path in ("/api/v1/models/count", "/api/v1/nothing", CHAT):
            assert client.get(path, headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
            made = [client.get(path).headers["x-request-id"] for _ in range(2)]
            assert made[0] != made[1] and made[0].startswith("req-")


def test_a_large_response_of_the_catalogue_is_compressed_for_those_who_accept_it(stack: Stack) -> None:
    found = httpx2.get(f"{stack.url}/api/v1/models", headers={"accept-encoding": "gzip"})
    plain = httpx2.get(f"{stack.url}/api/v1/models", headers={"accept-encoding": "identity"})
    assert (found.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert found.json() == plain.json()
    assert 3 * int(found.headers["content-length"]) < int(plain.headers["content-length"])


def test_no_stream_is_compressed(stack: Stack) -> None:
    with stack.client as client:
        found = client.post(CHAT, json=BODY | {"stream": True}, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in found.headers and found.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_of_the_api_load_nothing_from_elsewhere(stack: Stack, page: str) -> None:
    with stack.client as client:
        text = client.get(page).text
        assets = [part.split('"')[0] for name in ('src="', 'href="') for part in text.split(name)[1:]]
        assert assets and all(asset.startswith("/") for asset in assets)
        assert all(client.get(asset).status_code == 200 for asset in assets)
        assert "//fonts" not in text and "cdn" not in text
