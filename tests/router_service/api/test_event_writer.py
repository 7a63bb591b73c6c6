"""Test that keep-alives stay within the stream that they keep alive."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from router_service.api.event_writer import EventWriter

PING = b": ping\n\n"


async def test_a_stream_that_ends_while_a_keepalive_is_due_ends_once() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    writer = EventWriter(send, PING, 0.001)
    writer.keep_alive([], "gen-1")
    # The timer is due. It fires after the first of the two iterations has resumed this coroutine, and its task would
    # run after the second has.
    time.sleep(0.005)  # noqa: ASYNC251 - the timer comes due, and nothing runs
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await writer.write(b"data: b\n\n", more=False)
    for _ in range(20):
        await asyncio.sleep(0.001)
    bodies = [message for message in sent if message["type"] == "http.response.body"]
    assert [message["more_body"] for message in bodies] == [True] * (len(bodies) - 1) + [False]
    assert bodies[-1]["body"] == b"data: b\n\n"


async def test_a_silent_stream_gets_keepalives_until_it_ends() -> None:
    sent: list[bytes] = []
    twice = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if sent.count(PING) == 2:
            twice.set()

    writer = EventWriter(send, PING, 0.001)
    writer.keep_alive([], "gen-1")
    await asyncio.wait_for(twice.wait(), 30)
    await writer.write(b"", more=False)
    count = len(sent)
    await asyncio.sleep(0.02)
    assert len(sent) == count
