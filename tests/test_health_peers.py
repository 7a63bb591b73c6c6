"""Workers of one machine know of each other's failures; damage leaves each with what it saw itself."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from router_service.routing.health import Health
from router_service.routing.health.breaker import FIRST_EJECTION_S
from router_service.routing.health.health import INTERVAL_S
from router_service.routing.health.journal import FRAME, JournalPeers
from router_service.routing.health.shared import Batch, Report
from tests.test_health import Clock


def pair(folder: Path) -> tuple[Clock, Health, Health]:
    clock = Clock()
    return clock, Health(clock, JournalPeers(folder)), Health(clock, JournalPeers(folder))


def journal(folder: Path) -> Path:
    (path,) = folder.glob("*.health")
    return path


def test_a_burst_in_another_process_is_known_at_the_next_exchange(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.health_worker", str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"e\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"told\n"
        health = Health(peers=JournalPeers(tmp_path))
        health.synchronise()
        assert health.outages == {"e"}
        assert health.ejected(["e", "f"]) == {"e"}
        assert health.counts("e", "1d").failure == 5
        other.kill()
    # A peer that is gone leaves a file whose lock is free; old enough, it is removed.
    path = journal(tmp_path)
    os.utime(path, (0, 0))
    health.close()
    newcomer = JournalPeers(tmp_path)
    assert newcomer.collect() == []
    assert not path.exists()
    newcomer.close()


async def test_watching_workers_exchange_by_themselves(tmp_path: Path) -> None:
    """Two intervals, of writing and of reading, are under a second: the promise to other workers."""
    assert 2 * INTERVAL_S < 1
    _, one, other = pair(tmp_path)
    tasks = [asyncio.create_task(health.watch()) for health in (one, other)]
    one.failure("e", "rate_limit_exceeded", 60.0)
    for _ in range(400):
        if other.limited("e"):
            break
        await asyncio.sleep(0.025)
    assert other.limited("e")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    one.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_counts_are_heard_once_and_ejections_are_followed(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    one.success("e", 0.3, 40.0)
    for _ in range(7):
        one.failure("e", "server")
    for _ in range(3):
        one.synchronise()
        other.synchronise()
    assert other.counts("e", "30s") == one.counts("e", "30s") == (1, 7, 0, 0)
    assert other.ejected(["e", "f"]) == {"e"}
    clock.now += FIRST_EJECTION_S
    one.refresh()
    assert other.claim("e")
    other.success("e", None, None)
    other.synchronise()
    one.synchronise()
    assert one.ejected(["e", "f"]) == frozenset()


def test_a_late_reader_counts_events_when_they_happened(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    for _ in range(5):
        one.failure("e", "server")
    one.synchronise()
    clock.now += 60
    other.synchronise()
    assert other.outages == frozenset()
    assert other.ejected(["e", "f"]) == frozenset()
    assert (other.counts("e", "30s").failure, other.counts("e", "5m").failure) == (0, 5)


def test_a_frame_caught_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    writer, reader = JournalPeers(tmp_path), JournalPeers(tmp_path)
    batch = Batch(1.0, [Report("e", 1, 2, 3, 4)])
    writer.publish(batch)
    whole = journal(tmp_path).read_bytes()
    for length in (3, FRAME.size, len(whole) - 1):
        journal(tmp_path).write_bytes(whole[:length])
        assert reader.collect() == []
    journal(tmp_path).write_bytes(whole)
    assert reader.collect() == [batch]
    assert reader.collect() == []
    assert reader.failures == 0
    writer.close()
    reader.close()


@pytest.mark.parametrize(
    "garbage", [b"\0" * 64, b"\xff" * 64, FRAME.pack(3, 0) + b"abc", random.Random(3).randbytes(4096)]
)
def test_a_damaged_file_is_skipped_counted_and_harms_no_other(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "1-bad.health").write_bytes(garbage)
    good, reader = JournalPeers(tmp_path), JournalPeers(tmp_path)
    heard = []
    for number in range(6):
        good.publish(Batch(float(number), [Report("e", number)]))
        heard += reader.collect()
    assert [batch.at for batch in heard] == [0, 1, 2, 3, 4, 5]
    assert reader.failures == 1
    good.close()
    reader.close()


def test_a_file_that_has_grown_begins_anew_and_is_still_followed(tmp_path: Path) -> None:
    writer, reader = JournalPeers(tmp_path), JournalPeers(tmp_path)
    reports = [Report("e" * 100, 1) for _ in range(1500)]
    for number in range(20):
        writer.publish(Batch(float(number), reports))
        assert [batch.at for batch in reader.collect()] == [number]
    assert journal(tmp_path).stat().st_size < 2**20
    writer.close()
    reader.close()


def test_without_the_folder_a_worker_goes_on_alone(tmp_path: Path) -> None:
    peers = JournalPeers(tmp_path / "missing")
    health = Health(Clock(), peers)
    for _ in range(5):
        health.failure("e", "server")
    health.synchronise()
    assert health.outages == {"e"}
    assert peers.failures >= 2
    (tmp_path / "missing").mkdir()
    health.failure("e", "server")
    health.synchronise()
    assert len(list((tmp_path / "missing").iterdir())) == 1
    health.close()


def test_another_machines_clock_is_not_believed(tmp_path: Path) -> None:
    clock, health, other = pair(tmp_path)
    stranger = JournalPeers(tmp_path)
    stranger.publish(Batch(clock.now + 1e6, [Report("e", failure=50, ejected_until=clock.now + 1e6)]))
    health.synchronise()
    assert health.counts("e", "1d").attempts == 0
    for peers in (health, other, stranger):
        peers.close()
