"""Test that a client that reads slowly changes neither the endpoint's measured throughput nor its time in the log."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import lab.server
from lab.server import Lab
from lab.text import Ask, Completion
from models.selection.dataset.point_in_time import EPOCH, MICROSECOND, judge_logged_attempt
from router_service.telemetry.lookup import find_on_disk
from router_service.upstream import connection
from router_service.upstream.client import ClientName
from tests.conftest import Stack, open_stack
from tests.router_service.execution.test_fallback import CHAT, body
from tests.router_service.upstream.test_transports import BODY, CLIENTS, HEAD, late_end, served, trickled
from tests.running import until

TOKENS, TOKEN_BYTES = 300, 40_000
ASLEEP_S = 3.0


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Open a router whose responses exceed what sockets, server and router buffer for a client that reads nothing."""

    def complete(_ask: Ask, dice: random.Random) -> Completion:
        return Completion(("x" * TOKEN_BYTES,) * TOKENS, 10, False, None, dice.getrandbits(60))

    monkeypatch.setattr(lab.server, "complete", complete)
    with open_stack(tmp_path, Lab(time_scale=0.3, faults=False), ttft_timeout=60.0) as opened:
        yield opened


def read(stack: Stack, asleep_s: float) -> dict[str, Any]:
    """Return the record of a response that was read after ``asleep_s``, through a socket with a minimal buffer."""
    sent = json.dumps(body(True, provider={"only": ["groq"]})).encode()
    address = urlsplit(stack.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(120)
        client.connect((address.hostname, address.port))
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.key}\r\nconnection: close\r\n"
        client.sendall(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
        time.sleep(asleep_s)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.count(b"[DONE]") == 1
    generation = answer.partition(b"x-generation-id: ")[2].partition(b"\r\n")[0].decode()
    until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
    row = find_on_disk(stack.lake, generation)
    assert row is not None
    return row | {"started_at": EPOCH + row["started_at"] * MICROSECOND}


def test_an_endpoint_is_as_fast_for_a_client_that_reads_late_as_for_one_that_reads_at_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HIGH_WATER_BYTES", 2 * TOKENS * TOKEN_BYTES)
    health = stack.services.health
    prompt = read(stack, 0.0)
    name = prompt["endpoint"]
    at_once, paced = health.throughput(name), judge_logged_attempt(prompt, 0).tokens_per_s
    # So much longer than the answer takes that a measurement which included it would be a fraction of the first.
    asleep_s = max(ASLEEP_S, 6 * prompt["attempts"][0]["duration_us"] / 1e6)
    late = read(stack, asleep_s)
    assert late["duration_us"] > asleep_s * 1e6
    assert late["attempts"][0]["duration_us"] < asleep_s * 0.6e6
    assert at_once is not None and paced is not None
    assert (health.throughput(name) or 0) > 0.88 * at_once
    assert (judge_logged_attempt(late, 0).tokens_per_s or 0) > 0.4 * paced


def test_throughput_is_not_measured_if_the_provider_has_to_wait_for_the_client(stack: Stack) -> None:
    late = read(stack, ASLEEP_S)
    attempt, found = late["attempts"][0], judge_logged_attempt(late, 0)
    assert (attempt["error_type"], attempt["duration_us"]) == (None, None)
    assert (found.result, found.tokens_per_s) == ("success", None)
    assert found.ttft_s is not None
    assert stack.services.health.throughput(late["endpoint"]) is None


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_response_that_is_read_late_ended_when_it_arrived(name: ClientName) -> None:
    async with served(trickled, name) as (_server, client, request):
        response = await client.stream(request, 60)
        opened = time.perf_counter()
        await asyncio.sleep(2.0)
        assert await response.next() == BODY
        ended = response.last_byte_at(time.perf_counter())
        assert ended is not None and 0 <= ended - opened < 1.6
        response.close()


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_response_that_is_awaited_ended_when_it_was_read(name: ClientName) -> None:
    async with served(late_end, name) as (_server, client, request):
        response = await client.stream(request, 60)
        assert await response.next() == BODY
        assert response.last_byte_at(7.0) == 7.0
        response.close()


async def test_the_end_of_a_response_is_unknown_if_the_provider_had_to_wait_for_the_reader() -> None:
    async def long(writer: asyncio.StreamWriter) -> None:
        size = 2 * connection.HIGH_WATER_BYTES
        writer.write(HEAD + f"content-length: {size}\r\n\r\n".encode() + b"x" * size)

    async with served(long, "direct") as (_server, client, request):
        response = await client.stream(request, 60)
        await asyncio.sleep(0.2)
        while await response.next():
            pass
        assert response.last_byte_at(7.0) is None
        response.close()
