"""Test that both upstream clients bound what a provider can make them keep, and never mix two responses."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benchmarks.chaos.certificates import Authority
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.upstream.client import ClientName, open_client
from router_service.upstream.framing.sse import EventParser
from router_service.upstream.transport import MAX_BODY_BYTES
from tests.router_service.upstream.test_transports import BODY, CLIENTS, HEAD, complete, fetch, served

both_clients = pytest.mark.parametrize("name", CLIENTS)
both_kinds = pytest.mark.parametrize("stream", [False, True])
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
SURPLUS = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nanother's one"
FULL = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
LARGE = 4 * 1024 * 1024
# The server and the client share an event loop, which delivers a piece at its next turn.
BETWEEN_PIECES_S = 0.001


def writes(
    *parts: bytes, then_close: bool = False, pause_s: float = 0.02
) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """Return a responder that sends ``parts`` one after the other, with pauses in which each arrives alone."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(pause_s)
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
    async with served(writes(*pieces, pause_s=BETWEEN_PIECES_S), name) as (server, client, request):
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
        with pytest.raises(ApiError, match="grows more than 100 times") as caught:
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
