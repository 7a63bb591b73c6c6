"""Test both upstream clients against a server that misbehaves on the socket: every failure is a typed error."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import get_args

import pytest

from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream import connection
from router_service.upstream.client import ClientName, open_client
from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES
from router_service.upstream.transport import DeadlineMissed, StaleConnection, Transport

BODY = b'{"said": "ahoy"}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CLIENTS = get_args(ClientName)
Responder = Callable[[asyncio.StreamWriter], Awaitable[None]]


class FaultyServer:
    """Respond to each POST by ``respond``; ``closed`` is set when a client closes its connection."""

    def __init__(self, respond: Responder) -> None:
        self.respond = respond
        self.closed = asyncio.Event()
        self.received = asyncio.Event()
        self.requests: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-l"))
                self.requests.append(head + await reader.readexactly(length))
                self.received.set()
                responding = asyncio.ensure_future(self.respond(writer))
                disconnected = asyncio.ensure_future(reader.read(1))
                await asyncio.wait((responding, disconnected), return_when=asyncio.FIRST_COMPLETED)
                if not responding.done():
                    responding.cancel()
                    return
                disconnected.cancel()
                await asyncio.gather(disconnected, return_exceptions=True)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def served(
    respond: Responder, name: ClientName, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
) -> AsyncIterator[tuple[FaultyServer, Transport, HttpRequest]]:
    handler = FaultyServer(respond)
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = open_client(name, connect_timeout_s=60.0, max_event_bytes=max_event_bytes)
    headers = {"content-type": "application/json", "authorization": "Bearer k"}
    try:
        yield handler, client, HttpRequest(f"http://127.0.0.1:{port}/v1/chat/completions", headers, b'{"a":1}')
    finally:
        await client.close()
        server.close()


async def fetch(client: Transport, request: HttpRequest, *, stream: bool, timeout_s: float = 60.0) -> bytes:
    """Return the body of a response, by either client."""
    if not stream:
        return (await client.send(request, timeout_s)).body
    response = await client.stream(request, timeout_s)
    parts = []
    try:
        while part := await response.next():
            parts.append(part)
    finally:
        response.close()
    return b"".join(parts)


async def complete(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + f"content-length: {len(BODY)}\r\n\r\n".encode() + BODY)


async def zipped(writer: asyncio.StreamWriter) -> None:
    packed = gzip.compress(BODY)
    writer.write(HEAD + f"content-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n".encode() + packed)


async def trickled(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + f"content-length: {len(BODY)}\r\n\r\n".encode())
    for byte in BODY:
        await asyncio.sleep(0.002)
        writer.write(bytes([byte]))


async def until_close(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + BODY)
    await writer.drain()
    writer.close()


async def hinted(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await complete(writer)


async def in_pieces(writer: asyncio.StreamWriter) -> None:
    half = len(BODY) // 2
    response = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    response += b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:], b""))
    for start in range(0, len(response), 7):
        await asyncio.sleep(0)
        writer.write(response[start : start + 7])
        await writer.drain()


async def redirected(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")


async def cut_short(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 1000\r\n\r\n" + BODY)
    await writer.drain()
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 1000\r\n\r\n" + BODY)
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 this is a mail server\r\n\r\n")


async def endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 2_000_000 + b"\r\n\r\n")


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(300)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("respond", [until_close, hinted, in_pieces])
async def test_every_framing_is_read(respond: Responder, stream: bool, name: ClientName) -> None:
    async with served(respond, name) as (_server, client, request):
        assert [await fetch(client, request, stream=stream) for _ in range(2)] == [BODY, BODY]


async def late_end(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY))
    await asyncio.sleep(0.05)
    writer.write(b"0\r\n\r\n")


async def test_the_connection_of_a_stream_whose_last_event_has_arrived_is_reused() -> None:
    async with served(late_end, "direct") as (server, client, request):
        for _ in range(3):
            response = await client.stream(request, 60)
            assert await response.next() == BODY
            response.finish()
            # In steps, so that a loop that was held up reads the end before the next request goes out.
            for _ in range(10):
                await asyncio.sleep(0.02)
        assert server.connections == 1


async def test_a_stream_without_an_end_is_closed_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY))
        await asyncio.sleep(300)

    monkeypatch.setattr(connection, "DRAIN_S", 0.1)
    async with served(endless, "direct") as (server, client, request):
        response = await client.stream(request, 60)
        assert await response.next() == BODY
        response.finish()
        await asyncio.wait_for(server.closed.wait(), 60)


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_slow_reader_applies_back_pressure_to_the_provider(name: ClientName) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"content-length: 64000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 64_000)
            await writer.drain()
            sent += 64_000

    async with served(flood, name) as (_server, client, request):
        response = await client.stream(request, 60)
        await asyncio.sleep(0.5)
        assert sent < 32_000_000
        got = 0
        while part := await response.next():
            got += len(part)
        response.close()
        assert got == 64_000_000


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("respond", [complete, zipped, trickled])
async def test_good_responses_arrive_complete(respond: Responder, stream: bool, name: ClientName) -> None:
    async with served(respond, name) as (server, client, request):
        for _ in range(3):
            assert await fetch(client, request, stream=stream) == BODY
        assert b"authorization: bearer k" in server.requests[0].lower()
        assert server.requests[0].endswith(b'{"a":1}')
        assert server.connections == 1


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("respond", [cut_short, reset, no_http, endless_header])
async def test_a_broken_response_is_an_unavailable_provider(respond: Responder, stream: bool, name: ClientName) -> None:
    async with served(respond, name) as (_server, client, request):
        with pytest.raises(ApiError) as caught:
            await fetch(client, request, stream=stream)
        assert caught.value.error_type == "provider_unavailable"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_closed_idle_connection_is_distinguished_from_a_broken_response(stream: bool) -> None:
    served_before = 0

    async def once(writer: asyncio.StreamWriter) -> None:
        nonlocal served_before
        served_before += 1
        if served_before == 2:
            writer.transport.abort()
        else:
            await complete(writer)

    async with served(once, "direct") as (_server, client, request):
        assert await fetch(client, request, stream=stream) == BODY
        with pytest.raises(StaleConnection):
            await fetch(client, request, stream=stream)
        assert await fetch(client, request, stream=stream) == BODY


async def test_the_deadline_includes_connecting() -> None:
    client = open_client("direct", connect_timeout_s=60)
    try:
        # TEST-NET-1 has no hosts; a sandbox may refuse the connection at once, which ends the call as well.
        with pytest.raises(ApiError):
            await asyncio.wait_for(fetch(client, HttpRequest("http://192.0.2.1/", {}, b"{}"), stream=False), 30)
    finally:
        await client.close()


@pytest.mark.parametrize("name", CLIENTS)
async def test_an_aborted_stream_ends_with_the_given_error(name: ClientName) -> None:
    async def begun(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 1000\r\n\r\n" + BODY)
        await hang(writer)

    async with served(begun, name) as (server, client, request):
        response = await client.stream(request, 60)
        assert await response.next() == BODY
        asyncio.get_running_loop().call_later(0.05, response.abort, ApiError("timeout", "too quiet"))
        with pytest.raises(ApiError, match="too quiet"):
            await response.next()
        response.close()
        await asyncio.wait_for(server.closed.wait(), 60)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_hang_ends_at_the_deadline_and_closes_the_connection(stream: bool, name: ClientName) -> None:
    async with served(hang, name) as (server, client, request):
        with pytest.raises(ApiError) as caught:
            await fetch(client, request, stream=stream, timeout_s=0.2)
        assert caught.value.error_type == "timeout"
        await asyncio.wait_for(server.closed.wait(), 60)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_call_closes_its_connection(stream: bool, name: ClientName) -> None:
    async with served(hang, name) as (server, client, request):
        call = asyncio.create_task(fetch(client, request, stream=stream, timeout_s=300))
        await asyncio.wait_for(server.received.wait(), 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.closed.wait(), 60)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_closed_port_and_an_unknown_host_are_typed_errors(stream: bool, name: ClientName) -> None:
    client = open_client(name, connect_timeout_s=1.0)
    try:
        for url in ("http://127.0.0.1:9/v1/x", "http://nowhere.invalid/v1/x"):
            begun = time.monotonic()
            with pytest.raises(ApiError) as caught:
                await fetch(client, HttpRequest(url, {}, b"{}"), stream=stream)
            assert caught.value.error_type in ("provider_unavailable", "timeout")
            assert time.monotonic() - begun < 60
    finally:
        await client.close()


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_redirects_are_not_followed(stream: bool, name: ClientName) -> None:
    async with served(redirected, name) as (server, client, request):
        status = (await client.stream(request, 60)).status if stream else (await client.send(request, 60)).status
        assert status == 307
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(("connect_timeout", "timeout_s", "callers"), [(0.05, 5.0, False), (5.0, 0.05, True)])
async def test_the_error_says_whether_the_callers_deadline_passed_while_connecting(
    name: ClientName, connect_timeout: float, timeout_s: float, callers: bool
) -> None:
    client = open_client(name, connect_timeout)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        request = HttpRequest(f"http://127.0.0.1:{full.getsockname()[1]}/", {}, b"{}")
        with pytest.raises(ApiError) as caught:
            await fetch(client, request, stream=True, timeout_s=timeout_s)
    await client.close()
    assert (caught.value.error_type, isinstance(caught.value, DeadlineMissed)) == ("timeout", callers)
