"""Tests that comments keep an idle stream open, and never disturb what is read or written."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from router_service.api.skins.chat.keepalive import INTERVAL_S, KEEPALIVE, KeepAliveWriter

EVENT = b'data: {"n":1}\n\n'
WAIT_S = 30.0


class _Client:
    """Takes what is written in two steps each, as a transport that waits for its buffer does."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.arrived = asyncio.Condition()
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def write(self, content: bytes) -> None:
        await self._take(content[:5])
        await self.is_open.wait()
        await self._take(content[5:])

    async def _take(self, content: bytes) -> None:
        self.taken.append(content)
        async with self.arrived:
            self.arrived.notify_all()

    async def comments(self, count: int) -> None:
        """Wait for the comment number ``count`` to arrive."""
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: self.count() >= count), WAIT_S)

    async def steps(self, count: int) -> None:
        """Wait for the step number ``count`` of all writes."""
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.taken) >= count), WAIT_S)

    def count(self) -> int:
        return b"".join(self.taken).count(KEEPALIVE)


def test_the_first_comment_is_in_time() -> None:
    """The reference's Python SDK waits 5 s for a byte."""
    assert INTERVAL_S < 5


async def test_comments_fill_every_gap_and_the_pending_read_goes_on() -> None:
    """A provider is silent before, between and after its events; each of its reads is awaited once."""
    client = _Client()
    reads = 0

    async def read(comments: int) -> bytes:
        nonlocal reads
        reads += 1
        await client.comments(comments)
        return EVENT

    async with KeepAliveWriter(client.write, 0.01) as writer:
        for comments in (2, 4, 6):
            await writer.write(await read(comments))
    assert reads == 3
    assert b"".join(client.taken).replace(KEEPALIVE, b"") == EVENT * 3


async def test_a_comment_and_an_event_never_mix() -> None:
    """An event waits for a comment that is under way, and no comment begins within an event."""
    client = _Client()
    async with KeepAliveWriter(client.write, 0.01) as writer:
        client.is_open.clear()
        writing = asyncio.create_task(writer.write(EVENT))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert client.taken == [EVENT[:5]]
        client.is_open.set()
        await writing
        client.is_open.clear()
        await client.steps(3)
        writing = asyncio.create_task(writer.write(EVENT))
        await asyncio.sleep(0.05)
        assert client.taken[2:] == [KEEPALIVE[:5]]
        client.is_open.set()
        await writing
    assert b"".join(client.taken[:6]) == EVENT + KEEPALIVE + EVENT


async def test_a_failed_comment_is_told_to_the_next_write() -> None:
    called = asyncio.Event()

    async def fail(content: bytes) -> None:
        called.set()
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        async with KeepAliveWriter(fail, 0.01) as writer:
            await asyncio.wait_for(called.wait(), WAIT_S)
            await asyncio.sleep(0.03)
            await writer.write(EVENT)


@pytest.mark.parametrize("fails", [False, True])
async def test_no_comment_follows_the_end(fails: bool) -> None:
    """A comment that is under way is finished with the stream, and given up with a request that fails."""
    client = _Client()
    client.is_open.clear()
    with pytest.raises(KeyError) if fails else contextlib.nullcontext():
        async with KeepAliveWriter(client.write, 0.01):
            await client.steps(1)
            if fails:
                raise KeyError
            client.is_open.set()
    assert b"".join(client.taken) == (KEEPALIVE[:5] if fails else KEEPALIVE)
    await asyncio.sleep(0.05)
    assert b"".join(client.taken) == (KEEPALIVE[:5] if fails else KEEPALIVE)
