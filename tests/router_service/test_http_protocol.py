"""Head and body of an answer leave in one write, and nothing waits for a body that does not come."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, cast
from urllib.parse import urlsplit

import uvicorn
from uvicorn.server import ServerState

from router_service.http_protocol import MAX_JOINED_BYTES, HttpProtocol, JoinedWrites, SmallEvent
from tests.conftest import Stack
from tests.router_service.execution.test_fallback import CHAT, body

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Written:
    """Keep what is written to it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.parts.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def joined() -> tuple[JoinedWrites, Written]:
    written = Written()
    return JoinedWrites(cast(asyncio.Transport, written)), written


async def test_a_head_waits_for_its_body_and_what_follows_does_not() -> None:
    transport, written = joined()
    for part in (HEAD, b"one", b"two", HEAD, b"three"):
        transport.write(part)
    assert written.parts == [HEAD + b"one", b"two", HEAD + b"three"]
    await asyncio.sleep(0)
    assert len(written.parts) == 3


async def test_a_head_without_a_body_leaves_at_the_next_turn_of_the_loop() -> None:
    transport, written = joined()
    transport.write(HEAD)
    assert written.parts == []
    await asyncio.sleep(0)
    assert written.parts == [HEAD]


async def test_a_large_body_is_not_copied_and_comes_behind_its_head() -> None:
    transport, written = joined()
    large = bytes(MAX_JOINED_BYTES + 1)
    transport.write(HEAD)
    transport.write(large)
    assert written.parts == [HEAD, large]


async def test_closing_sends_what_was_kept() -> None:
    transport, written = joined()
    transport.write(HEAD)
    transport.close()
    assert (written.parts, written.closed) == ([HEAD], True)


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
            head, _, answer = connection.recv(MAX_JOINED_BYTES).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(answer)["object"] == "chat.completion"
