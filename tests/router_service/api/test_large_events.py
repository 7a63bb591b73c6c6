"""Test that an event of 9 MiB of a provider's stream passes, unchanged or translated, up to the setting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from data.catalogue.types import Catalogue, Endpoint, Model, Price, Provider
from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from router_service.app import create_app
from router_service.settings import Settings
from router_service.upstream.client import ClientName
from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES
from tests.conftest import serving

SIZE = 9 * 2**20
TEXT = "ahoy " * (SIZE // 5)
IMAGE = "data:image/png;base64," + "iVBO" * (SIZE // 4)
FORMATS = ("openai_chat", "anthropic_messages")
PATHS = ("/api/v1/chat/completions", "/v1/messages")
CLIENTS = get_args(ClientName)


def chat_events(delta: dict[str, Any]) -> list[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return [
        head | {"choices": [{"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": None}]},
        head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        head | {"choices": [], "usage": usage},
    ]


MESSAGES_EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]  # fmt: skip


async def answer(request: Request) -> StreamingResponse:
    """Stream an answer in the format of the path; a request for an image gets one."""
    body = await request.body()

    async def stream() -> AsyncIterator[bytes]:
        if request.url.path.endswith("/messages"):
            for event in MESSAGES_EVENTS:
                yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            return
        image = {"type": "image_url", "image_url": {"url": IMAGE}}
        for chunk in chat_events({"images": [image]} if b"draw" in body else {"content": TEXT}):
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        yield b"data: [DONE]\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


PROVIDER = Starlette(routes=[Route("/{rest:path}", answer, methods=["POST"])])


def catalogue(base_url: str) -> Catalogue:
    """Return a model ``test/<format>`` for each wire format."""
    names = {f"test/{name}": name for name in FORMATS}
    endpoints = {
        model: (
            Endpoint(
                f"p:{model}", "p", "p", "P", model, "m", wire_format, base_url, ("TEST_KEY",), Price(1, 1), 100_000
            ),
        )
        for model, wire_format in names.items()
    }  # fmt: skip
    models = {name: Model(name, "test", name, 0, 100_000, ("text",), ("text",)) for name in names}
    return Catalogue("v", models, {"p": Provider("p", "P", "openai_chat", base_url, ("TEST_KEY",))}, endpoints, {})  # type: ignore[arg-type]


@contextmanager
def router(data_dir: Path, **settings: Any) -> Iterator[httpx2.Client]:
    """Serve a router in front of the provider; yields a client with a key."""
    lake = Lake(data_dir).create()
    headers = {"authorization": f"Bearer {create_key(open_database(lake.database), 'test')}"}
    with pytest.MonkeyPatch.context() as patch, serving(PROVIDER) as provider:
        patch.setenv("TEST_KEY", "secret")
        with serving(create_app(Settings(data_dir=data_dir, **settings), catalogue(f"{provider}/v1"))) as url:
            with httpx2.Client(base_url=url, headers=headers, timeout=120) as client:
                yield client


def streamed(client: httpx2.Client, path: str, wire_format: str, text: str = "hello") -> list[dict[str, Any]]:
    """Return the data of the events of an answer."""
    body = {
        "model": f"test/{wire_format}",
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "max_tokens": 100,
    }
    found = client.post(path, json=body)
    assert found.status_code == 200, found.text[:500]
    lines = [line.removeprefix("data: ") for line in found.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(events: list[dict[str, Any]]) -> str:
    chunks = [choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ())]
    deltas = [event["delta"].get("text") or "" for event in events if event.get("type") == "content_block_delta"]
    return "".join(chunks + deltas)


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Return a client of a router with the default limit, by each of its own clients of providers."""
    assert SIZE < DEFAULT_MAX_EVENT_BYTES == Settings().max_event_bytes
    with router(tmp_path_factory.mktemp("events"), upstream_client=request.param) as opened:
        yield opened


@pytest.mark.parametrize("wire_format", FORMATS)
@pytest.mark.parametrize("path", PATHS)
def test_a_large_event_passes_by_default(client: httpx2.Client, path: str, wire_format: str) -> None:
    assert text_of(streamed(client, path, wire_format)) == TEXT


def test_a_large_image_passes_by_default(client: httpx2.Client) -> None:
    events = streamed(client, PATHS[0], "openai_chat", "draw")
    images = [image for e in events for c in e["choices"] for image in c["delta"].get("images") or ()]
    assert [image["image_url"]["url"] == IMAGE for image in images] == [True]


@pytest.mark.parametrize("wire_format", FORMATS)
@pytest.mark.parametrize("path", PATHS)
def test_the_setting_bounds_an_event(tmp_path: Path, path: str, wire_format: str) -> None:
    with router(tmp_path, max_event_bytes=SIZE // 2) as client:
        body = {"model": f"test/{wire_format}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
        found = client.post(path, json=body | {"stream": True})
    assert (found.status_code, "PORTOLAN_MAX_EVENT_BYTES" in found.text) == (502, True)
    assert len(found.content) < 10_000


def test_a_higher_setting_lets_a_larger_event_pass(tmp_path: Path) -> None:
    with router(tmp_path, max_event_bytes=SIZE + 2**20) as client:
        assert text_of(streamed(client, PATHS[0], "openai_chat")) == TEXT
