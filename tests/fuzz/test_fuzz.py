"""Test a running router with requests and answers that are malformed at random, the same in every run."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router_service.telemetry.lookup import RECENT
from tests.fuzz.loop_meter import AIM_MS, longest_since
from tests.fuzz.market import TIMEOUTS, FaultyMarket, faulty_market, good, rss_bytes
from tests.fuzz.mutations import answer_bytes, look_up_bytes, request_bytes
from tests.running import until

SEED = 20261130
BOX_S = 8.0
THREADS = 4
# A request that takes longer has hung, unless it does not when it is sent again: a busy machine makes any request slow.
HANG_S = 2.0
# No response may come so late that a provider's time-out has ended the attempt.
LATE_S = float(TIMEOUTS["PORTOLAN_TTFT_TIMEOUT"])
ALLOWED_GROWTH = 1.2


async def malformed(writer: asyncio.StreamWriter, streamed: bool) -> None:
    """Answer a request by the next malformed response."""
    writer.write(answer_bytes(DRAWN, streamed=streamed))
    await writer.drain()
    writer.close()


DRAWN = random.Random(SEED)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMarket]:
    """Start the router."""
    scripts = {"ok": good, "malformed": malformed}
    with faulty_market(tmp_path_factory.mktemp("fuzz"), scripts, module="tests.fuzz.metered_portolan") as opened:
        yield opened


def exchanged(market: FaultyMarket, sent: bytes) -> bytes:
    """Return the response to ``sent``, after which no more is sent."""
    with socket.create_connection(("127.0.0.1", market.port), timeout=10 * LATE_S) as client:
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
        except ConnectionError:
            return b""
    # The router probes a client that has stopped sending by interim responses.
    while answer.startswith(b"HTTP/1.1 100 "):
        answer = answer.partition(b"\r\n\r\n")[2]
    return answer


def timely(market: FaultyMarket, sent: bytes) -> bytes:
    """Return the response to ``sent``, which must not hang."""
    for _ in range(3):
        begun = time.monotonic()
        answer = exchanged(market, sent)
        took_s = time.monotonic() - begun
        if took_s < HANG_S:
            return answer
        assert took_s < LATE_S, (took_s, sent, answer)
    raise AssertionError((took_s, sent, answer))


def fuzz(market: FaultyMarket, seed: int, count: int, until_s: float) -> Counter[str]:
    """Send up to ``count`` requests until ``until_s``, in seconds of ``time.monotonic``; count the statuses."""
    draw, found = random.Random(seed), Counter[str]()
    for _ in range(count):
        if time.monotonic() > until_s:
            break
        sent = (look_up_bytes if draw.random() < 0.1 else request_bytes)(draw, market.key)
        if draw.random() < 0.3:
            sent = sent.replace(b"test/ok", b"test/malformed")
            # The length of the body has changed with it.
            head, _, body = sent.partition(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
            sent = b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])
        answer = timely(market, sent)
        status = answer[9:12].decode(errors="replace")
        found[status] += 1
        assert status[:1] != "5" or status == "502", (seed, sent, answer)
        assert b"Internal error" not in answer, (seed, sent, answer)
    return found


def run(market: FaultyMarket, count: int, box_s: float) -> Counter[str]:
    """Fuzz from several threads, then check that the router is as before."""
    # As many at once as later: what bodies take together is kept by the allocator. The records that a worker keeps in
    # memory and its caches are full after them.
    _fuzz_at_once(market, SEED - THREADS, min(count, 2 * RECENT), box_s)
    # The worker alone: the process that seals its log begins when there is something to seal.
    router = market.running.process.pid
    before = rss_bytes(router)
    with market.client() as client:
        longest_since(client)
        found = _fuzz_at_once(market, SEED, count, box_s)
        blocked_ms = longest_since(client)
    after = rss_bytes(router)
    print(
        f"fuzz: {sum(found.values()):,} requests, {dict(found)}, {before >> 20} MB before, {after >> 20} after; "
        f"longest block of the event loop {blocked_ms:.1f} ms, the aim is {AIM_MS:g} ms"
    )
    assert market.running.process.poll() is None
    output = market.running.output
    assert "Traceback" not in output, output[-6000:]
    with market.client() as client:
        answer = client.post("/api/v1/chat/completions", json=market.body("ok", stream=False))
        assert answer.status_code == 200
    assert after < before * ALLOWED_GROWTH
    return found


def _fuzz_at_once(market: FaultyMarket, seed: int, count: int, box_s: float) -> Counter[str]:
    until_s = time.monotonic() + box_s
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(lambda number: fuzz(market, seed + number, count // THREADS, until_s), range(THREADS))
        return sum(parts, Counter[str]())


def test_a_look_up_of_an_unknown_id_imports_nothing(market: FaultyMarket) -> None:
    """The reader of many files imports pandas where it is installed: it takes a second, and memory for ever.

    The tests after this one read files, so it is the first.
    """
    with market.client() as client:
        known = client.post("/api/v1/chat/completions", json=market.body("ok", stream=False)).headers["x-generation-id"]
        until(lambda: list(market.lake.requests.rglob("*.parquet")), "records are sealed")
        for unknown in ("gen-1-x", known[:-1], known + "0"):
            assert client.get("/api/v1/generation", params={"id": unknown}).status_code == 404
    assert "/pandas/" not in Path(f"/proc/{market.running.process.pid}/maps").read_text()


def test_malformed_requests_and_answers(market: FaultyMarket) -> None:
    """No status is 500, nothing is a traceback, nothing hangs, and the memory is as before."""
    found = run(market, 10_000, BOX_S)
    assert found["200"] and found["400"]


@pytest.mark.parametrize("name", ["a\r\nset-cookie: x", "a\0b", "é", "x" * 200])
def test_the_name_of_a_field_cannot_break_the_header_that_reports_it(market: FaultyMarket, name: str) -> None:
    """A parameter that was dropped is named in a header, whatever its client calls it."""
    fields = {"max_tokens": 5} | {f"{name}{number}": 1 for number in range(30)}
    with market.client() as client:
        for stream in (False, True):
            response = client.post("/api/v1/messages", json=market.body("ok", stream=stream) | fields)
            assert response.status_code == 200 and "set-cookie" not in response.headers
            assert 0 < len(response.headers["x-portolan-dropped-parameters"]) <= 2048


@pytest.mark.slow
def test_many_malformed_requests_and_answers(market: FaultyMarket) -> None:
    run(market, 200_000, 3600.0)
