"""Test that both upstream clients bound what a provider can make them keep, and never mix two responses."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from benchmarks.chaos.certificates import Authority
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.client import ClientName, open_client
from router_service.upstream.framing.sse import EventParser
from router_service.upstream.transport import MAX_BODY_BYTES, StaleConnection
from tests.router_service.upstream.test_transports import BODY, CLIENTS, HEAD, complete, fetch, hang, served

both_clients = pytest.mark.parametrize("name", CLIENTS)
both_kinds = pytest.mark.parametrize("stream", [False, True])
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
SURPLUS = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nanother's one"
FULL = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
LARGE = 4 * 1024 * 1024


def writes(*parts: bytes, then_close: bool = False) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """Return a responder that sends ``parts`` one after the other, with pauses in which each arrives alone."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(0.02)
            writer.write(part)
            await writer.drain()
        if then_close:
            writer.close()

    return respond


def repeats(begin: bytes, part: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """Return a responder that sends ``begin`` and then ``part`` without an end."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(part)
            await writer.drain()

    return respond


LINE = b"x" * 16_384
ENDLESS = {
    "header_line": repeats(b"HTTP/1.1 200 OK\r\nx-long: ", LINE),
    "head": repeats(b"HTTP/1.1 200 OK\r\n", b"x-many: 1\r\n" * 1000),
    "status_line": repeats(b"HTTP/1.1 200 ", LINE),
    "informational_head": repeats(b"HTTP/1.1 103 Early Hints\r\nlink: ", LINE),
    "chunk_extension": repeats(CHUNKED + b"5;", LINE),
    "chunk_size": repeats(CHUNKED, b"0" * 16_384),
    "trailer_line": repeats(CHUNKED + b"5\r\nhello\r\n0\r\nx-long: ", LINE),
    "trailers": repeats(CHUNKED + b"5\r\nhello\r\n0\r\n", b"x-many: 1\r\n" * 1000),
}


@both_clients
@both_kinds
@pytest.mark.parametrize("kind", ENDLESS)
async def test_framing_without_an_end_is_refused(kind: str, stream: bool, name: ClientName) -> None:
    async with served(ENDLESS[kind], name) as (server, client, request):
        with pytest.raises(ApiError) as caught:
            await fetch(client, request, stream=stream)
        assert caught.value.error_type == "provider_unavailable"
        await asyncio.wait_for(server.closed.wait(), 60)


BLOCK = b"z" * 1024 * 1024
TOO_LARGE = {
    "content_length": repeats(HEAD + b"content-length: %d\r\n\r\n" % (2 * MAX_BODY_BYTES), BLOCK),
    "chunks": repeats(CHUNKED, b"100000\r\n" + BLOCK + b"\r\n"),
    "until_close": repeats(b"HTTP/1.0 200 OK\r\n\r\n", BLOCK),
}


@both_clients
@pytest.mark.parametrize("kind", TOO_LARGE)
async def test_a_body_without_an_end_is_refused_where_it_is_read_as_one(kind: str, name: ClientName) -> None:
    async with served(TOO_LARGE[kind], name) as (server, client, request):
        with pytest.raises(ApiError, match="exceeds 67,108,864 bytes") as caught:
            await client.send(request, 60)
        assert caught.value.error_type == "provider_unavailable"
        await asyncio.wait_for(server.closed.wait(), 60)
        response = await client.stream(request, 60)
        with pytest.raises(ApiError, match="exceeds 67,108,864 bytes"):
            await response.read()
        response.close()


@both_clients
async def test_an_event_has_a_limit_that_passes_an_image(name: ClientName) -> None:
    image = b"data: " + b"i" * 9 * 1024 * 1024 + b"\n\n"
    async with served(repeats(HEAD + b"\r\n", image), name) as (_server, client, request):
        response = await client.stream(request, 60)
        parser, events = EventParser(response.max_event_bytes), []
        while not events:
            events = parser.feed(await response.next())
        response.close()
        assert len(events[0][1]) == 9 * 1024 * 1024
    async with served(repeats(HEAD + b"\r\n", image), name, max_event_bytes=65_536) as (_server, client, request):
        response = await client.stream(request, 60)
        parser = EventParser(response.max_event_bytes)
        with pytest.raises(ApiError, match="more than 65,536 bytes"):
            while True:
                parser.feed(await response.next())
        response.close()


def packed(content: bytes, encoding: str) -> bytes:
    """Return ``content`` compressed as servers do."""
    if encoding == "raw deflate":
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflate.compress(content) + deflate.flush()
    if encoding == "two members":
        return gzip.compress(content[:5]) + gzip.compress(content[5:])
    return zlib.compress(content) if encoding == "deflate" else gzip.compress(content)


def encoded(content: bytes, encoding: str) -> bytes:
    """Return the response with ``content`` as it is and its encoding's name in the head."""
    named = {"raw deflate": "deflate", "two members": "gzip"}.get(encoding, encoding)
    return HEAD + f"content-encoding: {named}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


@both_clients
@both_kinds
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate", "raw deflate", "two members", "identity"])
@pytest.mark.parametrize("step", [1, 10_000])
async def test_a_compressed_response_is_decompressed(step: int, encoding: str, stream: bool, name: ClientName) -> None:
    content = BODY if encoding == "identity" else packed(BODY, encoding)
    response = encoded(content, encoding)
    start = len(response) - len(content)
    pieces = [response[:start], *(response[i : i + step] for i in range(start, len(response), step))]
    async with served(writes(*pieces), name) as (server, client, request):
        for _ in range(2):
            assert await fetch(client, request, stream=stream) == BODY
        assert server.connections == 1


@both_clients
@both_kinds
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_response_that_decompresses_to_a_huge_one_is_refused(
    encoding: str, stream: bool, name: ClientName
) -> None:
    bomb = packed(bytes(MAX_BODY_BYTES + 1), encoding)
    assert len(bomb) < MAX_BODY_BYTES / 500
    async with served(writes(encoded(bomb, encoding)), name) as (server, client, request):
        with pytest.raises(ApiError, match="exceeds 67,108,864 bytes when it is decompressed") as caught:
            await fetch(client, request, stream=stream)
        assert caught.value.error_type == "provider_unavailable"
        await asyncio.wait_for(server.closed.wait(), 60)


@both_clients
@both_kinds
@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (encoded(packed(BODY, "gzip")[:-3], "gzip"), "ends too early"),
        (encoded(b"\x1f\x8bno gzip at all", "gzip"), "is damaged"),
        (encoded(BODY, "gzip"), "is damaged"),
        (encoded(b"\x8b\x07\x80{}\x03", "br"), "'br', which was not requested"),
        (encoded(b"\x28\xb5\x2f\xfd\x00", "zstd"), "'zstd', which was not requested"),
        (encoded(packed(BODY, "gzip"), "gzip, gzip"), "'gzip, gzip', which was not requested"),
    ],
    ids=["early", "damaged", "plain", "br", "zstd", "twice"],
)
async def test_compression_that_cannot_be_undone_is_a_typed_error(
    response: bytes, reason: str, stream: bool, name: ClientName
) -> None:
    async with served(writes(response), name) as (_server, client, request):
        with pytest.raises(ApiError, match=reason) as caught:
            await fetch(client, request, stream=stream)
        assert caught.value.error_type == "provider_unavailable"


@both_clients
@both_kinds
@pytest.mark.parametrize(
    "parts",
    [
        (FULL + b"garbage",),
        (FULL + SURPLUS,),
        (FULL, SURPLUS),
        (CHUNKED + b"10\r\n" + BODY + b"\r\n0\r\n\r\n" + SURPLUS,),
        (HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY + SURPLUS,),
    ],
    ids=["garbage", "second_response", "later", "chunked", "closing"],
)
async def test_a_connection_with_more_than_its_response_is_not_used_again(
    parts: tuple[bytes, ...], stream: bool, name: ClientName
) -> None:
    async with served(writes(*parts), name) as (server, client, request):
        assert await fetch(client, request, stream=stream) == BODY
        await asyncio.sleep(0.1)
        server.respond = complete
        assert await fetch(client, request, stream=stream) == BODY
        assert server.connections == 2


@both_clients
async def test_a_second_response_in_its_own_tls_record_is_not_mixed_with_the_first(
    name: ClientName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    served_before = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served_before
        try:
            while await reader.readuntil(b"{}"):
                served_before += 1
                # Two writes are two records of TLS, which arrive in one packet.
                writer.write(FULL)
                if served_before == 1:
                    writer.write(SURPLUS)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=authority.good())
    client = open_client(name, connect_timeout_s=60.0)
    request = HttpRequest(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x", {}, b"{}")
    try:
        assert [(await client.send(request, 60)).body for _ in range(3)] == [BODY] * 3
    finally:
        await client.close()
        server.close()


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
    async with served(writes(*parts, then_close=parts[0].startswith(b"HTTP/1.0")), name) as (_server, client, request):
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
