"""Head and body of a response leave in one write, and the rules of HTTP hold for what an application sends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from router_service.http_protocol import HttpProtocol
from router_service.http_response import SmallEvent
from tests.conftest import Stack
from tests.router_service.execution.test_fallback import CHAT, body

START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"3")]}
OPEN = {"type": "http.response.start", "status": 200, "headers": []}
GET = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
App = Callable[[Any, Any, Any], Any]


def part(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def sends(*messages: dict[str, Any]) -> App:
    """Return an application that sends ``messages``."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            for message in messages:
                await send(message)

    return app


@asynccontextmanager
async def connected(app: App, **options: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve ``app`` and open a connection to it."""
    config = uvicorn.Config(app, http=HttpProtocol, port=0, log_level="critical", lifespan="off", **options)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn offers no event for it)
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def exchanged(app: App, request: bytes = GET, **options: Any) -> bytes:
    """Return all that comes back for ``request`` until the server closes the connection."""
    async with connected(app, **options) as (reader, writer):
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)


CLOSING = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"


async def test_a_body_of_a_declared_length_follows_its_head() -> None:
    answer = await exchanged(sends(START, part(b"a", more=True), part(b"bc")), CLOSING)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert (head.startswith(b"HTTP/1.1 200 OK\r\n"), content) == (True, b"abc")
    assert b"\r\ncontent-length: 3\r\n" in head and head.endswith(b"connection: close")
    assert b"transfer-encoding" not in head


async def test_a_body_of_no_declared_length_is_chunked() -> None:
    answer = await exchanged(sends(OPEN, part(b"", more=True), part(b"abc", more=True), part(b"d")), CLOSING)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert content == b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"


async def test_a_head_without_a_body_does_not_wait_for_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OPEN)
        await asyncio.sleep(3600)

    async with connected(app, timeout_graceful_shutdown=1) as (reader, writer):
        writer.write(GET)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("request_line", "status", "content"),
    [(b"HEAD / HTTP/1.1", 200, b""), (b"GET / HTTP/1.1", 204, b""), (b"GET / HTTP/1.1", 304, b"")],
)
async def test_a_response_without_a_body_has_none(request_line: bytes, status: int, content: bytes) -> None:
    request = request_line + b"\r\nhost: here\r\nconnection: close\r\n\r\n"
    answer = await exchanged(sends(OPEN | {"status": status}, part(b"")), request)
    head, _, found = answer.partition(b"\r\n\r\n")
    assert (head.split()[1], found) == (str(status).encode(), content)
    assert b"transfer-encoding" not in head


async def test_a_client_of_http_1_0_gets_its_response_and_the_end_of_the_connection() -> None:
    answer = await exchanged(sends(START, part(b"abc")), b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"connection: close\r\n\r\nabc")


async def test_an_application_may_close_the_connection() -> None:
    closing = START | {"headers": [(b"content-length", b"3"), (b"connection", b"close")]}
    answer = await exchanged(sends(closing, part(b"abc")))
    assert answer.count(b"connection: close") == 1 and answer.endswith(b"abc")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-one", b"a\r\nx-two: b")],
        [(b"x-one", b"a\x00")],
        [(b"x-one\r\nx-two", b"a")],
        [(b"x one", b"a")],
        [(b"", b"a")],
    ],
)
async def test_a_header_that_would_end_early_is_not_sent(headers: list[tuple[bytes, bytes]]) -> None:
    answer = await exchanged(sends(START | {"headers": headers}, part(b"abc")))
    assert answer.startswith(b"HTTP/1.1 500") and b"x-one" not in answer


@pytest.mark.parametrize(
    "messages",
    [
        (START, part(b"abcd")),
        (START, part(b"ab")),
        (START, part(b"ab", more=True)),
        (START, START),
        (START, part(b"a", more=True), START),
    ],
)
async def test_an_application_that_breaks_the_rules_ends_its_connection(messages: tuple[dict[str, Any], ...]) -> None:
    assert not (await exchanged(sends(*messages))).endswith(b"abc")


async def test_a_body_before_its_head_is_an_error() -> None:
    assert (await exchanged(sends(part(b"abc")))).startswith(b"HTTP/1.1 500")


async def test_requests_that_wait_on_a_connection_are_answered_in_turn() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05 if scope["path"] == "/1" else 0)
        await send(START)
        await send(part(scope["path"][1:].encode() * 3))

    requests = b"".join(b"GET /%d HTTP/1.1\r\nhost: here\r\n\r\n" % number for number in (1, 2))
    answer = await exchanged(app, requests + CLOSING.replace(b"/ ", b"/%33 "))
    assert [answer.index(content) for content in (b"111", b"222", b"333")] == sorted(
        answer.index(content) for content in (b"111", b"222", b"333")
    )


async def test_a_connection_without_a_next_request_is_closed() -> None:
    async with connected(sends(START, part(b"abc")), timeout_keep_alive=1) as (reader, writer):
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.6)
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_the_rest_of_a_body_is_received_as_it_comes() -> None:
    received: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            received.append(message["body"])
        received.append(message["body"])
        await send(START)
        await send(part(b"abc"))
        received.append((await receive())["type"])

    async with connected(app) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: here\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for content in (b"one", b"two"):
            writer.write(content)
            await asyncio.sleep(0.1)
        assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.1)
    assert (b"".join(received[:-1]), received[-1]) == (b"onetwo", "http.disconnect")


async def test_a_small_event_wakes_all_who_wait_and_forgets_who_has_left() -> None:
    event = SmallEvent()
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    event.set()
    assert await asyncio.gather(*waiting[1:]) == [True, True]
    assert waiting[0].cancelled() and await event.wait()
    event.clear()
    assert not event.is_set()


async def test_the_attributes_of_a_connection_share_their_keys() -> None:
    """CPython shares up to 30 keys of an instance's attributes; a connection with more takes 1.2 kB more."""

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    protocol = HttpProtocol(uvicorn.Config(app), ServerState(), {})
    # ``url`` is set by the first request.
    assert len(vars(protocol)) < 30


def test_a_client_gets_a_whole_answer_in_one_piece(stack: Stack) -> None:
    content = json.dumps(body(False)).encode()
    lines = (
        f"POST {CHAT} HTTP/1.1",
        "host: portolan",
        f"authorization: Bearer {stack.key}",
        "content-type: application/json",
        f"content-length: {len(content)}",
    )
    address = urlsplit(stack.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for _ in range(5):
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            head, _, answer = connection.recv(64 * 1024).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(answer)["object"] == "chat.completion"
