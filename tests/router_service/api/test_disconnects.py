"""Test that a request ends when its client disconnects, whatever state its connection is in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.record.encoding import record_row
from router_service.core.client_connection import ClientConnection, ClientDisconnected
from router_service.telemetry.frames import read_frames
from tests.conftest import Stack, open_stack
from tests.running import until

MODEL = "openai/gpt-oss-120b"
# uvicorn stops reading from a client while it holds more than 64 KiB of a body.
LARGE = "How does a pilot read the tide tables? " * 4_000


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Open a router whose providers never answer."""
    with open_stack(tmp_path, ttft_timeout=60.0, keepalive_interval=0.05) as opened:
        opened.lab.modes["*"] = {"mode": "hang"}
        yield opened


def asked(stream: bool, text: str = "hello") -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": stream}


def cancelled(stack: Stack) -> list[dict[str, Any]]:
    """Return the records of requests whose client has left."""
    payloads = [frame for path in stack.lake.log.glob("*.open") for frame in read_frames(path.read_bytes()).payloads]
    return [row for row in map(record_row, payloads) if row["ended_by_client"]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["hello", LARGE], ids=["small", "large"])
def test_a_client_that_leaves_before_the_answer_ends_its_request(stack: Stack, stream: bool, text: str) -> None:
    connection = stack.send(asked(stream, text))
    until(lambda: sum(stack.lab.calls.values()), "the provider is called")
    connection.close()
    until(lambda: cancelled(stack), "the record is written")
    (row,) = cancelled(stack)
    assert (row["cancelled"], row["status"], len(row["attempts"])) == (True, 499, 1)


def test_a_client_that_leaves_with_requests_waiting_ends_the_one_in_progress(stack: Stack) -> None:
    connection = stack.send(asked(stream=True))
    until(lambda: sum(stack.lab.calls.values()), "the provider is called")
    waiting = json.dumps(asked(stream=True)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.key}\r\n"
    connection.sendall(f"{head}content-length: {len(waiting)}\r\n\r\n".encode() + waiting)
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    connection.close()
    until(lambda: cancelled(stack), "the record is written")
    assert sum(stack.lab.calls.values()) == 1


async def test_a_client_that_left_before_the_watch_is_noticed() -> None:
    connection = ClientConnection()
    connection.lose()
    with pytest.raises(ClientDisconnected), connection:
        pytest.fail("the block is not entered")


async def test_a_disconnect_interrupts_the_block_alone() -> None:
    connection, loop = ClientConnection(), asyncio.get_running_loop()
    with connection:
        await asyncio.sleep(0)
    with pytest.raises(ClientDisconnected), connection:
        loop.call_soon(connection.lose)
        await asyncio.sleep(60)
    await asyncio.sleep(0)


async def test_a_task_that_is_cancelled_as_well_stays_cancelled() -> None:
    connection = ClientConnection()

    async def serve() -> None:
        with connection:
            await asyncio.sleep(60)

    task = asyncio.create_task(serve())
    await asyncio.sleep(0)
    connection.lose()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
