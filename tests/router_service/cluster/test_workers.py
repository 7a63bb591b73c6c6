"""Two processes are one router: they share keys and the lake, and end together."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from data.lake import Lake
from data.record.lake_reader import open_dataset, request_files
from tests.load import Load
from tests.running import Running, free_port, portolan, until


def accepted(url: str, key: str) -> bool:
    """Return True when a new connection is accepted, by whichever worker the kernel assigns it to."""
    return httpx2.get(f"{url}/api/v1/key", headers={"authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_two_workers_serve_share_keys_and_leave_parquet(number: signal.Signals, tmp_path: Path, lab_url: str) -> None:
    port, data = free_port(), ("--data-dir", str(tmp_path))
    url = f"http://127.0.0.1:{port}"
    serve = ("serve", "--workers", "2", "--port", str(port), *data)
    with Running(tmp_path / "output", *serve, PORTOLAN_LAB_URL=lab_url) as router:
        router.ready(f"{url}/health")
        # Parent, the resource tracker of multiprocessing, and two workers with a sealer each.
        until(lambda: len(router.alive()) == 6, "both workers have their sealer")
        key = portolan("keys", "create", "--name", "late", *data).stdout.strip()
        until(lambda: all(accepted(url, key) for _ in range(20)), "a new key is known to both")
        load = Load(url, key, most=200)
        load.run()
        assert len(load.ended) == 200, (load.broken, router.output)
        assert router.end(number) == 0, router.output
        until(lambda: not router.alive(), f"all have ended, but {router.alive()}")
        assert "Traceback" not in router.output
    lake = Lake(tmp_path)
    assert list(lake.log.iterdir()) == []
    rows = open_dataset(request_files(lake)).to_table().to_pylist()
    assert Counter(row["generation_id"] for row in rows) == Counter(answer.id for answer in load.answers)
    assert len({row["worker"] for row in rows}) == 2


def test_sealers_end_with_workers_that_were_killed(tmp_path: Path, lab_url: str) -> None:
    port = free_port()
    serve = ("serve", "--workers", "2", "--port", str(port), "--data-dir", str(tmp_path))
    with Running(tmp_path / "output", *serve, PORTOLAN_LAB_URL=lab_url) as router:
        router.ready(f"http://127.0.0.1:{port}/health")
        until(lambda: len(router.alive()) == 6, "both workers have their sealer")
        sealers = {pid for pid in router.alive() if b"telemetry.sealer" in Path(f"/proc/{pid}/cmdline").read_bytes()}
        router.kill_all_but(sealers)
        until(lambda: not router.alive(), "the sealers have noticed")
