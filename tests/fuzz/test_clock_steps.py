"""Test that nothing breaks when the wall clock is set while the router runs, in either direction."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.record.lake_reader import open_dataset, request_files
from tests.fuzz.market import FaultyMarket, faulty_market, good
from tests.running import ROOT, until

HOUR_S = 3600.0
# Python imports it at the start of each process: of the workers, and of the one that seals.
SITE = """
import os, time
real, real_ns, path = time.time, time.time_ns, os.environ["STEP_FILE"]

def offset_s():
    with open(path) as file:
        return float(file.read())

time.time = lambda: real() + offset_s()
time.time_ns = lambda: real_ns() + int(offset_s() * 1e9)
"""


class Clock:
    """Set the wall clock of the router's processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "step"
        self.set(0)

    def set(self, offset_s: float) -> None:
        """Let the clock differ from the machine's by ``offset_s`` from now on."""
        draft = self.path.with_suffix(".new")
        draft.write_text(str(offset_s))
        draft.replace(self.path)


async def slow(writer: asyncio.StreamWriter, streamed: bool) -> None:
    """Answer when the clock has been set meanwhile."""
    await asyncio.sleep(1.5)
    await good(writer, streamed)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    return Clock(tmp_path)


@pytest.fixture
def market(tmp_path: Path, clock: Clock) -> Iterator[FaultyMarket]:
    """Start a router of two workers with that clock."""
    path = os.pathsep.join((str(tmp_path / "site"), str(ROOT)))
    variables = {"PYTHONPATH": path, "STEP_FILE": str(clock.path)}
    with faulty_market(tmp_path, {"ok": good, "slow": slow}, "--workers", "2", **variables) as opened:
        yield opened


def ask(market: FaultyMarket, name: str = "ok", *, stream: bool = False) -> str:
    """Send one request that has to be answered by the first provider, and return its id."""
    with market.client() as client:
        response = client.post("/api/v1/chat/completions", json=market.body(name, stream=stream))
        assert response.status_code == 200 and "error" not in response.text, response.text
        return response.headers["x-generation-id"]


def test_a_clock_that_is_set_back_and_forth_breaks_nothing(market: FaultyMarket, clock: Clock) -> None:
    """Requests in flight meet their deadlines, ids stay unique, and every record is sealed exactly once."""
    ids = [ask(market) for _ in range(5)]
    with ThreadPoolExecutor(4) as pool:
        for offset_s in (HOUR_S, -HOUR_S, 24 * HOUR_S, 0.0):
            served = market.provider.served["slow"]
            waiting = [pool.submit(ask, market, "slow", stream=stream) for stream in (True, False)]
            until(lambda served=served: market.provider.served["slow"] == served + 2, "both are under way")  # type: ignore[misc]
            clock.set(offset_s)
            ids += [one.result() for one in waiting]
            ids += [ask(market, stream=number % 2 == 0) for number in range(6)]
            with market.client() as client:
                found = client.get("/health").json()
                assert found["status"] == "ok" and found["outages"] == [] and found["log"]["dropped"] == 0
                assert client.get("/api/v1/key").status_code == 200
                client.headers["authorization"] = "Bearer unknown"
                assert client.get("/api/v1/key").status_code == 401
    assert len(set(ids)) == len(ids)
    seconds = [int(one.split("-")[1]) for one in ids]
    assert max(seconds) - min(seconds) > 24 * HOUR_S
    assert market.running.end() == 0
    rows = open_dataset(request_files(market.lake)).to_table(columns=["generation_id", "attempts"]).to_pylist()
    found = {row["generation_id"]: row["attempts"] for row in rows}
    assert len(found) == len(rows) and set(ids) <= set(found)
    assert all(len(found[one]) == 1 for one in ids)
    assert list(market.lake.log.glob("*")) == []
    assert "Traceback" not in market.running.output
