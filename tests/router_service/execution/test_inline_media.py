"""Test that media by URL reach providers that take them as data alone, and that the router fetches nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.conftest import Stack, open_stack, serving
from tests.router_service.upstream.media_servers import PDF, PNG, MediaServer, media_server

CHAT = "/api/v1/chat/completions"
OPENAI = "openai/gpt-4o-mini"
DATA = f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"


class Recorder:
    """Answer chat completions and embeddings, and keep the bodies."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def chat(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        message = {"role": "assistant", "content": "read"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return JSONResponse({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})

    async def embed(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        return JSONResponse({"id": "x", "embeddings": {"float": [[1.0] * 1536]}, "meta": {}})


@pytest.fixture(scope="module")
def server() -> Iterator[MediaServer]:
    with media_server() as found:
        yield found


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(autouse=True)
def fresh(recorder: Recorder, server: MediaServer) -> None:
    recorder.bodies.clear()
    server.requests.clear()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, server: MediaServer, recorder: Recorder) -> Iterator[Stack]:
    """Yield a router whose providers OpenAI and Cohere record, and that may fetch from this machine."""
    routes = [
        Route("/chat/completions", recorder.chat, methods=["POST"]),
        Route("/embed", recorder.embed, methods=["POST"]),
    ]
    with serving(Starlette(routes=routes)) as url:
        settings: dict[str, Any] = {
            "provider_urls": {"openai": url, "cohere": url},
            "fetch_networks": ["127.0.0.0/8"],
            "fetch_ports": [server.port],
            "fetch_max_media": 3,
            "fetch_max_bytes": 1000,
            "fetch_timeout": 2.0,
        }
        with open_stack(tmp_path_factory.mktemp("inline"), **settings) as opened:
            yield opened


def document(url: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": "tides.pdf", "file_data": url}}


def ask(stack: Stack, *parts: dict[str, Any], **fields: Any) -> httpx2.Response:
    body = {
        "model": OPENAI,
        "messages": [{"role": "system", "content": "Read."}, {"role": "user", "content": list(parts)}],
        "provider": {"only": ["openai"]},
    }
    with stack.client as client:
        return client.post(CHAT, json=body | fields)


def test_a_document_is_sent_as_data(stack: Stack, server: MediaServer, recorder: Recorder) -> None:
    found = ask(stack, {"type": "text", "text": "What is in it?"}, document(server.url("/document.pdf")))
    assert found.status_code == 200 and found.json()["choices"][0]["message"]["content"] == "read"
    assert recorder.bodies[0]["messages"][1]["content"] == [
        {"type": "text", "text": "What is in it?"},
        {"type": "file", "file": {"filename": "tides.pdf", "file_data": DATA}},
    ]
    assert [path for path, _ in server.requests] == ["/document.pdf"]


def test_the_same_url_is_fetched_once(stack: Stack, server: MediaServer, recorder: Recorder) -> None:
    url = server.url("/document.pdf")
    assert ask(stack, document(url), document(url)).status_code == 200
    assert len(server.requests) == 1
    assert json.dumps(recorder.bodies[0]).count("JVBERi0") == 2
    # Nothing is kept for the next request.
    assert ask(stack, document(url)).status_code == 200
    assert len(server.requests) == 2


def test_an_image_that_the_provider_takes_by_url_is_not_fetched(
    stack: Stack, server: MediaServer, recorder: Recorder
) -> None:
    url = server.url("/image.png")
    assert ask(stack, {"type": "image_url", "image_url": {"url": url}}).status_code == 200
    assert not server.requests
    assert recorder.bodies[0]["messages"][1]["content"][0]["image_url"]["url"] == url


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "its server answers 404"),
        ("/page", "it is text/html, which is no file that providers take"),
        ("/endless", "it has more than 1,000 bytes"),
        ("/silent", "it was not there within 2 s"),
        ("/redirect?http://10.0.0.1/x", "names port 80"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_the_field_and_the_reason(
    stack: Stack, server: MediaServer, recorder: Recorder, path: str, reason: str
) -> None:
    found = ask(stack, {"type": "text", "text": "Read it."}, document(server.url(path)))
    assert found.status_code == 400, found.text
    message = found.json()["error"]["message"]
    assert message.startswith("messages[1].content[1]: the file at http://127.0.0.1/")
    assert reason in message and message.endswith("Send it as base64, or from another address")
    assert not recorder.bodies


def test_secrets_of_an_address_are_not_told(stack: Stack, server: MediaServer) -> None:
    found = ask(stack, document(server.url("/missing?token=secret")))
    assert found.status_code == 400 and "secret" not in found.text


def test_the_number_of_media_is_limited(stack: Stack, server: MediaServer, recorder: Recorder) -> None:
    found = ask(stack, *(document(server.url(f"/document.pdf?{n}")) for n in range(4)))
    assert found.status_code == 400 and not server.requests
    assert found.json()["error"]["message"].startswith("messages[1].content[3] is one of 4 media given by URL")


def test_the_media_of_a_request_are_limited_together(stack: Stack, server: MediaServer) -> None:
    ports = stack.services.dispatcher.fetcher.rules
    stack.services.dispatcher.fetcher.rules = ports._replace(max_bytes=len(PDF) + 1)
    try:
        found = ask(stack, *(document(server.url(f"/document.pdf?{n}")) for n in range(2)))
    finally:
        stack.services.dispatcher.fetcher.rules = ports
    assert found.status_code == 400 and "it has more than 1 bytes" in found.json()["error"]["message"]


def test_loopback_is_refused_by_default(tmp_path: Any, server: MediaServer) -> None:
    with open_stack(tmp_path, fetch_ports=[server.port]) as opened:
        found = ask(opened, document(server.url("/document.pdf")))
    assert found.status_code == 400 and not server.requests
    assert "its host is at a loopback address, which the router does not fetch from" in found.json()["error"]["message"]


def test_images_of_embeddings_are_sent_as_data(stack: Stack, server: MediaServer, recorder: Recorder) -> None:
    sent = [{"content": [{"type": "image_url", "image_url": {"url": server.url("/image.png")}}]}]
    with stack.client as client:
        found = client.post("/api/v1/embeddings", json={"model": "cohere/embed-v4.0", "input": sent})
        wrong = [{"content": [{"type": "image_url", "image_url": {"url": server.url("/missing")}}]}]
        refused = client.post("/api/v1/embeddings", json={"model": "cohere/embed-v4.0", "input": wrong})
    assert found.status_code == 200
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert recorder.bodies[0]["inputs"] == [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("input[0].content[0]: the image at http://127.0.0.1/missing")


def test_a_document_in_anthropics_shape_is_sent_as_data(stack: Stack, server: MediaServer, recorder: Recorder) -> None:
    block = {"type": "document", "source": {"type": "url", "url": server.url("/document.pdf")}}
    body = {"model": OPENAI, "max_tokens": 50, "messages": [{"role": "user", "content": [block]}]}
    with stack.client as client:
        found = client.post("/v1/messages", json=body)
    assert found.status_code == 200, found.text
    assert recorder.bodies[0]["messages"][0]["content"][0]["file"]["file_data"] == DATA
