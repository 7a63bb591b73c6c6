"""Test on a running router that no client can take all its connections, memory or descriptors."""

from __future__ import annotations

import itertools
import json
import resource
import secrets
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fuzz.market import FIRST, SSE_HEAD, FaultyMarket, chunk, faulty_market, framed, good
from tests.fuzz.raw_provider import endless
from tests.running import until

LIMITS = {
    "PORTOLAN_MAX_CONNECTIONS": "60",
    "PORTOLAN_MAX_CONNECTIONS_PER_ADDRESS": "40",
    "PORTOLAN_MAX_REQUESTS": "20",
    "PORTOLAN_MAX_ARRIVING_BYTES": str(1024 * 1024),
    "PORTOLAN_RESPONSE_IDLE_TIMEOUT": "1",
}
SCRIPTS = {
    "ok": good,
    "flood": endless(SSE_HEAD, framed(chunk({"content": "x" * 60_000}), end=False)),
    "slow": endless(SSE_HEAD + framed(FIRST, end=False), framed(b": x\n\n", end=False), 0.3),
}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMarket]:
    """Start a router with small limits."""
    with faulty_market(tmp_path_factory.mktemp("connections"), SCRIPTS, **LIMITS) as opened:
        yield opened


DIALLED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def close_connections() -> Iterator[None]:
    """Close what a test has dialled."""
    yield
    while DIALLED:
        DIALLED.pop().close()


def dial(market: FaultyMarket, address: str = "127.0.0.1") -> socket.socket:
    """Return a connection from a loopback ``address``."""
    made = socket.create_connection(("127.0.0.1", market.port), timeout=60, source_address=(address, 0))
    DIALLED.append(made)
    return made


def request(market: FaultyMarket, name: str, *, stream: bool, key: str | None = None) -> bytes:
    """Return a request as bytes."""
    body = json.dumps(market.body(name, stream=stream, fallback=False)).encode()
    return head(market, len(body), key) + body


def head(market: FaultyMarket, length: int, key: str | None = None) -> bytes:
    """Return the head of a request with a body of ``length`` bytes."""
    line = "POST /api/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
    return f"{line}authorization: Bearer {key or market.key}\r\ncontent-length: {length}\r\n\r\n".encode()


def serves(market: FaultyMarket) -> bool:
    """Return whether a new client is served."""
    try:
        with market.client() as client:
            return client.post("/api/v1/chat/completions", json=market.body("ok", stream=False)).status_code == 200
    except httpx2.TransportError:
        return False


def test_connections_of_one_address_have_a_limit(market: FaultyMarket) -> None:
    """More are refused with a sentence, others are served, and the refused one is when the first ones have gone."""
    until(lambda: serves(market), "earlier connections are closed")
    opened = [dial(market, "127.0.0.2") for _ in range(40)]
    refused = dial(market, "127.0.0.2").recv(65_536)
    assert refused.startswith(b"HTTP/1.1 503 ") and b"40 connections from one address" in refused
    assert b"retry-after: 1" in refused
    assert serves(market)
    for one in opened:
        one.close()
    until(lambda: dial_and_ask(market, "127.0.0.2").startswith(b"HTTP/1.1 200 "), "the address is served again")


def dial_and_ask(market: FaultyMarket, address: str) -> bytes:
    """Return the beginning of the response to a request from ``address``."""
    with dial(market, address) as one:
        one.sendall(request(market, "ok", stream=False))
        return one.recv(65_536)


def test_connections_have_a_limit_in_all(market: FaultyMarket) -> None:
    until(lambda: serves(market), "earlier connections are closed")
    opened = [dial(market, f"127.0.1.{number}") for number in range(1, 70)]
    answers = [one.recv(65_536) for one in opened[61:]]
    assert all(b"60 connections" in one for one in answers)
    for one in opened:
        one.close()
    until(lambda: serves(market), "the router serves again")


def test_unfinished_requests_have_a_limit(market: FaultyMarket) -> None:
    """The 503 has the contract's envelope and says when to try again."""
    until(lambda: serves(market), "earlier requests are over")
    opened = [dial(market) for _ in range(20)]
    for one in opened:
        one.sendall(request(market, "slow", stream=True))
    for one in opened:
        assert one.recv(65_536).startswith(b"HTTP/1.1 200 ")
    response = dial_and_ask(market, "127.0.0.3")
    assert response.startswith(b"HTTP/1.1 503 ") and b"20 unfinished requests" in response
    for one in opened:
        one.close()
    until(lambda: serves(market), "the router serves again")


def test_bodies_that_arrive_have_a_limit_together(market: FaultyMarket) -> None:
    """A body of its own largest size is refused only while others arrive."""
    until(lambda: serves(market), "earlier requests are over")
    opened = [dial(market) for _ in range(4)]
    for one in opened:
        one.sendall(head(market, 400_000) + b"x" * 300_000)
    refused, _, _ = select.select(opened, [], [], 30)
    assert any(b"bytes of request bodies" in one.recv(65_536) for one in refused)
    for one in opened:
        one.close()
    until(lambda: serves(market), "the router serves again")


def test_a_client_that_never_reads_is_ended_and_recorded(market: FaultyMarket) -> None:
    with market.client() as client:
        before = client.get("/health").json()["log"]["written"]
    one = dial(market)
    one.sendall(request(market, "flood", stream=True))
    until(lambda: market.provider.cut["flood"], "the router leaves the provider")
    with market.client() as client:
        until(lambda: client.get("/health").json()["log"]["written"] > before, "the request is recorded")
    one.close()


def test_a_flood_of_unknown_keys_leaves_few_records_and_no_lines(market: FaultyMarket) -> None:
    """A key that is made amid the flood is known at once or a second later."""
    until(lambda: serves(market), "earlier requests are over")
    with market.client() as client:
        before = client.get("/health").json()["log"]["written"]
        for _ in range(300):
            unknown = {"authorization": f"Bearer sk-or-v1-{secrets.token_hex(32)}"}
            response = client.post("/api/v1/chat/completions", json=market.body("ok", stream=False), headers=unknown)
            assert response.status_code == 401
        until(lambda: client.get("/health").json()["log"]["waiting"] == 0, "the records are written")
        assert client.get("/health").json()["log"]["written"] - before < 250
    assert "Traceback" not in market.running.output


def test_no_descriptors_are_no_fault_of_a_provider(market: FaultyMarket) -> None:
    """The answer is a 503 of the router's own, which its endpoint does not pay for, and it recovers by itself."""
    until(lambda: serves(market), "earlier connections are closed")
    # Close the idle connections to providers: they would serve.
    opened = [dial(market) for _ in range(3)]
    for one in opened:
        one.sendall(request(market, "slow", stream=True))
        one.recv(65_536)
    router = market.running.process.pid
    before = resource.prlimit(router, resource.RLIMIT_NOFILE)
    with dial(market) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 ")
        # The limit is one of numbers: the next descriptor would get the lowest that is free.
        used = {int(path.name) for path in Path(f"/proc/{router}/fd").iterdir()}
        lowest = next(number for number in itertools.count() if number not in used)
        resource.prlimit(router, resource.RLIMIT_NOFILE, (lowest, before[1]))
        try:
            client.sendall(request(market, "slow", stream=True))
            answer = client.recv(65_536)
        finally:
            resource.prlimit(router, resource.RLIMIT_NOFILE, before)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"no file descriptors" in answer
    for one in opened:
        one.close()
    until(lambda: serves(market), "the router serves again")
    with market.client() as client:
        assert "faulty-slow:slow" not in client.get("/health").json()["outages"]


def test_draining_refuses_new_connections_and_workers_end_with_their_parent(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A connection that nobody will accept must not hang, and no worker may keep the port."""
    with faulty_market(tmp_path_factory.mktemp("draining"), SCRIPTS, "--workers", "2") as market:
        with dial(market) as open_stream:
            open_stream.sendall(request(market, "slow", stream=True))
            assert open_stream.recv(65_536).startswith(b"HTTP/1.1 200 ")
            market.running.process.send_signal(signal.SIGTERM)
            until(lambda: is_refused(market), "new connections are refused")
            assert market.running.process.poll() is None
        assert market.running.process.wait(60) == 0
    with faulty_market(tmp_path_factory.mktemp("orphans"), SCRIPTS, "--workers", "2") as market:
        market.running.process.kill()
        market.running.process.wait(60)
        until(lambda: not market.running.alive(), "the workers have ended")
        assert is_refused(market)


def is_refused(market: FaultyMarket) -> bool:
    """Return whether a new connection is refused at once."""
    try:
        dial(market).close()
    except ConnectionRefusedError:
        return True
    return False
