"""Test how both clients take responses that end in unusual ways."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.client import ClientName, open_client
from router_service.upstream.transport import StaleConnection
from tests.router_service.upstream.test_transport_limits import (
    BETWEEN_PIECES_S,
    CHUNKED,
    FULL,
    LARGE,
    both_clients,
    both_kinds,
    writes,
)
from tests.router_service.upstream.test_transports import BODY, HEAD, complete, fetch, hang, served


@both_clients
@both_kinds
async def test_a_response_before_the_whole_request_was_sent_is_read(stream: bool, name: ClientName) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 5\r\n\r\nlarge")
            writer.write_eof()
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    client = open_client(name, connect_timeout_s=60.0)
    request = HttpRequest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x", {}, b"y" * LARGE)
    try:
        if stream:
            response = await client.stream(request, 60)
            assert (response.status, await response.read()) == (413, b"large")
            response.close()
        else:
            whole = await client.send(request, 60)
            assert (whole.status, whole.body) == (413, b"large")
    finally:
        await client.close()
        server.close()


@both_clients
@both_kinds
@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", FULL),
        (b"HTTP/1.1 103 Early Hints\r\ncontent-encoding: br\r\n\r\n" * 3 + FULL,),
        (b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n", BODY),
        (b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY), BODY[:3], BODY[3:]),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n10;name=value\r\n", BODY + b"\r\n0\r\nx-trailer: 1\r\n", b"\r\n"),
        tuple(FULL[i : i + 1] for i in range(0, len(FULL))),
    ],
    ids=["continue", "hints", "http_1_0", "http_1_0_length", "trailers", "bytes"],
)
async def test_unusual_but_correct_responses_are_read(parts: tuple[bytes, ...], stream: bool, name: ClientName) -> None:
    respond = writes(*parts, then_close=parts[0].startswith(b"HTTP/1.0"), pause_s=BETWEEN_PIECES_S)
    async with served(respond, name) as (_server, client, request):
        for _ in range(2):
            assert await fetch(client, request, stream=stream) == BODY


async def _reset_in_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()


async def _reset_without_length(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
    await writer.drain()
    await asyncio.sleep(0.05)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@both_clients
@both_kinds
@pytest.mark.parametrize("respond", [_reset_in_head, _reset_without_length])
async def test_a_reset_is_never_the_end_of_a_response(
    respond: Callable[[asyncio.StreamWriter], Awaitable[None]], stream: bool, name: ClientName
) -> None:
    async with served(respond, name) as (_server, client, request):
        with pytest.raises(ApiError) as caught:
            await fetch(client, request, stream=stream)
        assert caught.value.error_type == "provider_unavailable"
        assert not isinstance(caught.value, StaleConnection)


@both_clients
async def test_a_slow_head_ends_at_the_deadline(name: ClientName) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            await asyncio.sleep(0.01)
            writer.write(b"y")

    async with served(drip, name) as (server, client, request):
        with pytest.raises(ApiError, match=r"no response within 0\.2 s") as caught:
            await client.stream(request, 0.2)
        assert caught.value.error_type == "timeout"
        await asyncio.wait_for(server.closed.wait(), 60)


@both_clients
@both_kinds
async def test_a_stream_that_is_closed_or_given_up_reaches_the_provider(stream: bool, name: ClientName) -> None:
    async def begun(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await hang(writer)

    async with served(begun, name) as (server, client, request):
        if stream:
            response = await client.stream(request, 60)
            assert await response.next() == b"hello"
            reading = asyncio.ensure_future(response.next())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            response.close()
        else:
            call = asyncio.ensure_future(client.send(request, 60))
            await asyncio.wait_for(server.received.wait(), 60)
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        await asyncio.wait_for(server.closed.wait(), 60)


@both_clients
@both_kinds
@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"authorization": "Bearer k\r\nx-injected: 1"}, "/"),
        ({"authorization": "Bearer k\n"}, "/"),
        ({"authorization": "Bearer clé"}, "/"),
        ({"x-a\r\nx-injected": "1"}, "/"),
        ({"x-a: 1, x-b": "1"}, "/"),
        ({"": "1"}, "/"),
        ({"Content-Length": "1"}, "/"),
        ({"transfer-encoding": "chunked"}, "/"),
        ({"host": "elsewhere"}, "/"),
        ({}, "/v1 HTTP/1.1\r\nx-injected: 1"),
        ({}, "/v1 x"),
        ({}, "/ü"),
    ],
    ids=range(12),
)
async def test_a_header_or_an_address_cannot_add_to_the_head(
    headers: dict[str, str], path: str, stream: bool, name: ClientName
) -> None:
    async with served(complete, name) as (server, client, request):
        url = request.url.removesuffix("/v1/chat/completions") + path
        with pytest.raises(ApiError) as caught:
            await fetch(client, msgspec.structs.replace(request, headers=headers, url=url), stream=stream)
        assert caught.value.error_type == "provider_unavailable"
        assert server.requests == []


@both_clients
@pytest.mark.parametrize(
    "url", ["http://host:99999/", "http://[::1/", "ftp://127.0.0.1/", "127.0.0.1:80/v1", "http:///v1"]
)
async def test_an_address_that_is_none_is_a_typed_error(url: str, name: ClientName) -> None:
    client = open_client(name, connect_timeout_s=60.0)
    with pytest.raises(ApiError, match="its address must be") as caught:
        await client.send(HttpRequest(url, {}, b"{}"), 60)
    assert caught.value.error_type == "provider_unavailable"
    await client.close()
