"""Test that the health and the metrics of a server are those of all its workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from data.lake import Lake
from data.worker_reports import SharingState, WorkerReport
from router_service.api.health import worst_status
from router_service.telemetry.metrics import render
from router_service.telemetry.worker_board import SILENT_S, WorkerBoard
from tests.fuzz.market import FaultyMarket, faulty_market, good
from tests.running import until

WORKERS = 2


def report(**values: object) -> WorkerReport:
    """Return the report of this process, with ``values``."""
    made: dict[str, object] = {
        "worker": "w", "pid": os.getpid(), "at": time.monotonic(), "log_healthy": True, "written": 3, "dropped": 0,
        "waiting": 1, "unlogged": 0, "write_failures": 0, "refusals_unrecorded": 2, "policy_failures": 3,
        "policy_version": None, "catalogue_version": "1", "keys_known": 1, "keys_stale_reads": 0, "outages": [],
        "sharing": {"journal": SharingState(1, True)},
    }  # fmt: skip
    return msgspec.convert(made | values, WorkerReport)


def board(lake: Lake, place: int, found: WorkerReport) -> WorkerBoard:
    """Return the board of a worker of this server whose file has another name."""
    made = WorkerBoard(lake, lambda: found)
    made._path = made._path.with_name(f"{made._server}.{place}.worker")
    return made


def ended_pid() -> int:
    """Return the id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(60)
    return child.pid


def test_counters_add_up_and_gauges_speak_for_those_that_run(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    own = board(lake, 1, report(worker="a", hedges=(1, 1, 0, 5.5)))
    board(lake, 2, report(worker="b", log_healthy=False, sharing={"journal": SharingState(2, False)})).write()
    board(lake, 3, report(worker="c", pid=ended_pid(), written=100, waiting=50, log_healthy=False)).write()
    state = own.state()
    text = render(state).decode()
    for line in (
        "log_records_written_total 106.0",
        "log_records_waiting 2.0",
        "log_healthy 0.0",
        "policy_failures_total 9.0",
        "refusals_unrecorded_total 6.0",
        'sharing_failures_total{way="journal"} 4.0',
        'sharing_working{way="journal"} 0.0',
        "hedges_sent_total 1.0",
        "hedged_tokens_total 5.5",
        'worker_up{worker="a"} 1.0',
        'worker_up{worker="b"} 1.0',
    ):
        assert line in text.splitlines(), line
    assert 'worker_up{worker="c"}' not in text
    assert worst_status(state) == "log_unwritable"


def test_a_worker_that_reports_nothing_is_named(tmp_path: Path) -> None:
    """A clock that is set does not matter: the time is that of the machine's monotonic clock."""
    lake = Lake(tmp_path).create()
    board(lake, 2, report(worker="b", at=time.monotonic() - SILENT_S - 1)).write()
    state = board(lake, 1, report(worker="a")).state()
    assert state.silent == {"b"} and worst_status(state) == "worker_silent"


def test_damaged_reports_and_those_of_other_servers_do_not_count(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    own = board(lake, 1, report(worker="a"))
    (lake.health / f"{own._server}.2.worker").write_text("{")
    (lake.health / "another.3.worker").write_bytes(msgspec.json.encode(report(worker="x")))
    (lake.health / "gone.4.worker").write_bytes(msgspec.json.encode(report(worker="y", pid=ended_pid())))
    own._sweep()
    assert [one.worker for one in own.state().all] == ["a"]
    assert (lake.health / "another.3.worker").exists() and not (lake.health / "gone.4.worker").exists()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMarket]:
    """Start a router with two workers."""
    folder = tmp_path_factory.mktemp("workers")
    with faulty_market(folder, {"ok": good}, "--workers", str(WORKERS)) as opened:
        yield opened


def get(market: FaultyMarket, path: str) -> str:
    """Return a response over a connection of its own, so that any worker may answer."""
    with market.client() as client:
        return client.get(path).text


def written(market: FaultyMarket) -> int:
    """Return the number of written records, as one worker reports it."""
    found = re.search(r"^log_records_written_total ([0-9.]+)", get(market, "/metrics"), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def workers(market: FaultyMarket) -> list[str]:
    """Return the names of the workers that run."""
    found = msgspec.json.decode(get(market, "/health"))
    assert found["status"] == "ok", found
    return [one["worker"] for one in found["workers"]]


def test_each_worker_answers_for_all(market: FaultyMarket) -> None:
    """Whichever worker is asked, it has counted the requests of both, also when one of them has been killed."""
    until(lambda: len(workers(market)) == WORKERS, "both workers report")
    served, count = set(), 0
    while len(served) < WORKERS or count < 30:
        with market.client() as client:
            response = client.post("/api/v1/chat/completions", json=market.body("ok", stream=False))
        assert response.status_code == 200
        count += 1
        served |= {path.name for path in market.lake.log.glob("*.open") if path.stat().st_size}
        assert count < 3000, served
    until(lambda: {written(market) for _ in range(10)} == {count}, f"{count} records are counted")
    before = workers(market)
    os.kill(int(before[0].rpartition("-")[2]), signal.SIGKILL)
    until(lambda: len(workers(market)) == WORKERS and workers(market) != before, "another worker has begun")
    assert {written(market) for _ in range(10)} == {count}
