"""Test clients of HTTP/1.0, and clients that stop sending before they have their response."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import Stack, open_stack
from tests.router_service.api.test_disconnects import cancelled
from tests.router_service.test_http_protocol import CLOSING, GET, OPEN, START, connected, exchanged, part, sends
from tests.running import until

PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
MODEL = "openai/gpt-oss-120b"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("clients")) as opened:
        yield opened


def ask(stack: Stack, version: str, *, stream: bool, path: str = "/api/v1/chat/completions") -> socket.socket:
    """Send one request and nothing more."""
    content = json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": stream, "max_tokens": 20}
    ).encode()
    head = f"POST {path} HTTP/{version}\r\nhost: x\r\nauthorization: Bearer {stack.key}\r\n"
    address = urlsplit(stack.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=120)
    connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    return connection


def received(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head and the body of the response, which ends with the connection."""
    with connection, connection.makefile("rb") as reader:
        content = reader.read()
    while content.startswith(PROBE):
        content = content.removeprefix(PROBE)
    head, _, body = content.partition(b"\r\n\r\n")
    return head, body


async def test_a_body_of_no_declared_length_ends_with_the_connection_of_http_1_0() -> None:
    answer = await exchanged(
        sends(OPEN, part(b"ab", more=True), part(b"", more=True), part(b"cd")), b"GET / HTTP/1.0\r\n\r\n"
    )
    head, _, content = answer.partition(b"\r\n\r\n")
    assert (head.split()[1], content) == (b"200", b"abcd")
    assert b"transfer-encoding" not in head and head.endswith(b"connection: close")


@pytest.mark.parametrize("request_line", [b"HEAD / HTTP/1.0", b"GET / HTTP/1.0"])
async def test_http_1_0_gets_a_response_without_a_body(request_line: bytes) -> None:
    message: dict[str, Any] = OPEN if request_line.startswith(b"HEAD") else OPEN | {"status": 204}
    answer = await exchanged(sends(message, part(b"")), request_line + b"\r\n\r\n")
    assert answer.endswith(b"connection: close\r\n\r\n") and b"transfer-encoding" not in answer


def test_a_stream_reaches_a_client_of_http_1_0(stack: Stack) -> None:
    head, body = received(ask(stack, "1.0", stream=True))
    assert head.startswith(b"HTTP/1.1 200") and b"transfer-encoding" not in head
    assert body.startswith((b"data: {", b": OPENROUTER")) and body.endswith(b"data: [DONE]\n\n")


def test_an_answer_reaches_a_client_of_http_1_0(stack: Stack) -> None:
    head, body = received(ask(stack, "1.0", stream=False))
    assert head.startswith(b"HTTP/1.1 200") and json.loads(body)["object"] == "chat.completion"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_has_stopped_sending_gets_its_answer(stack: Stack, version: str, stream: bool) -> None:
    connection = ask(stack, version, stream=stream)
    connection.shutdown(socket.SHUT_WR)
    head, body = received(connection)
    assert head.startswith(b"HTTP/1.1 200")
    assert (b"[DONE]" in body) if stream else json.loads(body)["object"] == "chat.completion"


async def test_all_requests_of_a_half_closed_connection_are_answered_and_then_it_is_closed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await send(START)
        await send(part(b"abc"))

    async with connected(app) as (reader, writer):
        writer.write(GET * 3)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
    assert (answer.count(b"200 OK"), answer.count(b"abc"), answer.count(b"connection: close")) == (3, 3, 1)


async def test_a_slow_answer_follows_probes_on_a_half_closed_connection() -> None:
    probed = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.wait_for(probed.wait(), 30)
        await send(START)
        await send(part(b"abc"))

    async with connected(app) as (reader, writer):
        writer.write(GET)
        writer.write_eof()
        for _ in range(2):
            assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) == PROBE
        probed.set()
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"connection: close\r\n\r\nabc")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET[:-2], b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc"])
async def test_a_half_closed_connection_without_a_complete_request_is_closed(sent: bytes) -> None:
    left = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with connected(app) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        if sent.startswith(b"POST"):
            await asyncio.wait_for(left.wait(), 10)


async def test_a_served_connection_that_is_half_closed_later_is_closed() -> None:
    async with connected(sends(START, part(b"abc"))) as (reader, writer):
        writer.write(GET)
        await asyncio.wait_for(reader.readuntil(b"abc"), 10)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""
    assert (await exchanged(sends(START, part(b"abc")), CLOSING)).endswith(b"abc")


def test_a_client_that_leaves_a_silent_stream_ends_its_request_long_before_the_next_keepalive(tmp_path: Path) -> None:
    with open_stack(tmp_path, ttft_timeout=60.0, keepalive_interval=600.0) as opened:
        opened.lab.modes["*"] = {"mode": "stall"}
        connection = ask(opened, "1.1", stream=True)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        connection.close()
        until(lambda: cancelled(opened), "the record is written")
        (row,) = cancelled(opened)
    assert row["ended_by_client"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_after_it_has_stopped_sending_ends_its_request(tmp_path: Path, stream: bool) -> None:
    with open_stack(tmp_path, ttft_timeout=60.0, keepalive_interval=0.05) as opened:
        opened.lab.modes["*"] = {"mode": "hang"}
        connection = ask(opened, "1.1", stream=stream)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: sum(opened.lab.calls.values()), "the provider is called")
        connection.close()
        until(lambda: cancelled(opened), "the record is written")
        (row,) = cancelled(opened)
    assert (row["cancelled"], row["status"]) == (True, 499)
