"""Test that keep-alives stay within the stream that they keep alive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from router_service.api.event_writer import EventWriter
from router_service.core.client_connection import Headers

PING = b": ping\n\n"


class Channel:
    """Keep the parts of a response, and call ``on_part`` after each."""

    must_wait = False

    def __init__(self, on_part: Callable[[], None] = lambda: None) -> None:
        self.parts: list[tuple[bytes, bool]] = []
        self._on_part = on_part

    def take_body(self) -> bytes | None:
        return None

    async def drain(self) -> None: ...

    def begin(self, status: int, headers: Headers, *, lines: bytes = b"", length: int | None = None) -> None:
        assert not self.parts

    def write(self, body: bytes, *, more: bool) -> None:
        self.parts.append((body, more))
        self._on_part()


async def test_a_stream_that_ends_while_a_keepalive_is_due_ends_once() -> None:
    channel = Channel()
    writer = EventWriter(channel, PING, 0.001, b"")
    writer.keep_alive([])
    # The timer is due. It fires after the first of the two iterations has resumed this coroutine, and its task would
    # run after the second has.
    time.sleep(0.005)  # noqa: ASYNC251 - the timer comes due, and nothing runs
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await writer.write(b"data: b\n\n", more=False)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert [more for _, more in channel.parts] == [True] * (len(channel.parts) - 1) + [False]
    assert channel.parts[-1][0] == b"data: b\n\n"


async def test_a_silent_stream_gets_keepalives_until_it_ends() -> None:
    twice = asyncio.Event()
    channel = Channel(lambda: twice.set() if len(channel.parts) == 2 else None)
    writer = EventWriter(channel, PING, 0.001, b"")
    writer.keep_alive([])
    await asyncio.wait_for(twice.wait(), 30)
    await writer.write(b"", more=False)
    await asyncio.sleep(0.02)
    assert channel.parts[:2] == [(PING, True)] * 2
    assert [more for _, more in channel.parts].index(False) == len(channel.parts) - 1
