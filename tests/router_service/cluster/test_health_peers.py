"""Workers of one machine know of each other's failures; damage leaves each with what it saw itself."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from data.catalogue.types import Price
from router_service.cluster.journal import FILE_BYTES, FRAME, JournalTransport
from router_service.cluster.messages import PeerBatch
from router_service.cluster.sharing import StateSharing
from router_service.core.conversation import ConversationKey
from router_service.core.preferences import NO_PREFERENCES
from router_service.core.usage import Usage
from router_service.health.breaker import FIRST_EJECTION_S, HEAD_START_S, PROBE_LEASE_S
from router_service.health.health import INTERVAL_S
from router_service.health.messages import HealthReport
from router_service.planning.make_plan import make_plan
from tests.market import PROFILE, endpoint, state
from tests.peers import Clock, Worker


def pair(folder: Path) -> tuple[Clock, Worker, Worker]:
    clock = Clock()
    return clock, Worker(JournalTransport(folder), clock=clock), Worker(JournalTransport(folder), clock=clock)


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
        worker = Worker(JournalTransport(tmp_path))
        worker.synchronise()
        health = worker.health
        assert health.outages == {"e"}
        assert health.ejected(["e", "f"]) == {"e"}
        assert health.counts("e", "1d").failure == 5
        other.kill()
    # A peer that is gone leaves a file whose lock is free; old enough, it is removed.
    path = journal(tmp_path)
    os.utime(path, (0, 0))
    worker.sharing.close()
    newcomer = JournalTransport(tmp_path)
    assert newcomer.collect() == []
    assert not path.exists()
    newcomer.close()


async def test_watching_workers_exchange_by_themselves(tmp_path: Path) -> None:
    """Two intervals, of writing and of reading, are under a second: the promise to other workers."""
    assert 2 * INTERVAL_S < 1
    _, one, other = pair(tmp_path)
    tasks = [asyncio.create_task(worker.sharing.watch()) for worker in (one, other)]
    one.health.failure("e", "rate_limit_exceeded", 60.0)
    for _ in range(4800):
        if other.health.limited("e"):
            break
        await asyncio.sleep(0.025)
    assert other.health.limited("e")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    one.sharing.close()
    other.sharing.close()
    assert list(tmp_path.iterdir()) == []


def test_counts_are_heard_once_and_ejections_are_followed(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    one.health.success("e", 0.3, 40.0)
    for _ in range(7):
        one.health.failure("e", "server")
    for _ in range(3):
        one.synchronise()
        other.synchronise()
    assert other.health.counts("e", "30s") == one.health.counts("e", "30s") == (1, 7, 0, 0)
    assert other.health.ejected(["e", "f"]) == {"e"}
    clock.now += FIRST_EJECTION_S + HEAD_START_S
    one.health.refresh()
    assert other.health.claim("e")
    other.health.success("e", None, None)
    other.synchronise()
    one.synchronise()
    assert one.health.ejected(["e", "f"]) == frozenset()


def recovering(folder: Path, workers: int = 4) -> tuple[Clock, list[Worker]]:
    """The first has ejected ``e``, the others have followed, and the time of its probe has come."""
    clock = Clock()
    all_of_them = [Worker(JournalTransport(folder), clock=clock) for _ in range(workers)]
    all_of_them[0].burst()
    exchange(all_of_them)
    assert all(worker.health.ejected(["e", "f"]) == {"e"} for worker in all_of_them)
    clock.now += FIRST_EJECTION_S
    for worker in all_of_them:
        worker.health.refresh()
    return clock, all_of_them


def exchange(workers: list[Worker]) -> None:
    for worker in (*workers, *workers):
        worker.synchronise()


def claims(workers: list[Worker]) -> list[int]:
    """Who may call ``e`` now, each asked twice."""
    return [number for number, worker in enumerate(workers) for _ in range(2) if worker.health.claim("e")]


def closed(workers: list[Worker]) -> None:
    for worker in workers:
        worker.sharing.close()


def test_one_worker_of_all_probes_and_its_success_brings_all_back(tmp_path: Path) -> None:
    clock, workers = recovering(tmp_path)
    # All at once, before any has heard of the others: who ejected it goes first.
    assert claims(workers) == [0]
    for _ in range(40):
        clock.now += INTERVAL_S
        exchange(workers)
        assert claims(workers) == []
        assert all(worker.health.ejected(["e", "f"]) == {"e"} for worker in workers)
    workers[0].health.success("e", None, None)
    exchange(workers)
    assert all(worker.health.ejected(["e", "f"]) == frozenset() for worker in workers)
    closed(workers)


def test_a_probe_that_fails_ejects_at_all(tmp_path: Path) -> None:
    clock, workers = recovering(tmp_path)
    assert claims(workers) == [0]
    workers[0].health.failure("e", "timeout")
    exchange(workers)
    clock.now += 2 * FIRST_EJECTION_S - 0.1
    exchange(workers)
    assert all(worker.health.ejected(["e", "f"]) == {"e"} for worker in workers)
    clock.now += 0.1
    assert claims(workers) == [0]
    closed(workers)


def test_without_traffic_at_the_first_the_others_probe_after_its_head_start(tmp_path: Path) -> None:
    clock, workers = recovering(tmp_path)
    clock.now += HEAD_START_S - 0.1
    assert claims(workers[1:]) == []
    clock.now += 0.1
    assert claims(workers[1:2]) == [0]
    exchange(workers)
    assert claims(workers) == []
    closed(workers)


@pytest.mark.parametrize("dies", [True, False])
def test_a_probe_whose_worker_dies_or_gives_it_up_holds_up_nobody(tmp_path: Path, dies: bool) -> None:
    clock, workers = recovering(tmp_path)
    assert claims(workers) == [0]
    exchange(workers)
    if dies:
        workers.pop(0).sharing.close()
    else:
        workers[0].health.abandon("e")
    clock.now += PROBE_LEASE_S
    exchange(workers)
    assert len(claims(workers[-1:])) == 1
    closed(workers)


def test_a_late_reader_counts_events_when_they_happened(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    for _ in range(5):
        one.health.failure("e", "server")
    one.synchronise()
    clock.now += 60
    other.synchronise()
    assert other.health.outages == frozenset()
    assert other.health.ejected(["e", "f"]) == frozenset()
    assert (other.health.counts("e", "30s").failure, other.health.counts("e", "5m").failure) == (0, 5)


def test_a_frame_caught_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    writer, reader = JournalTransport(tmp_path), JournalTransport(tmp_path)
    batch = PeerBatch(1.0, [HealthReport("e", 1, 2, 3, 4)])
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
    good, reader = JournalTransport(tmp_path), JournalTransport(tmp_path)
    heard = []
    for number in range(6):
        good.publish(PeerBatch(float(number), [HealthReport("e", number)]))
        heard += reader.collect()
    assert [batch.at for batch in heard] == [0, 1, 2, 3, 4, 5]
    assert reader.failures == 1
    good.close()
    reader.close()


def test_a_file_that_has_grown_begins_anew_and_is_still_followed(tmp_path: Path) -> None:
    writer, reader = JournalTransport(tmp_path), JournalTransport(tmp_path)
    reports = [HealthReport("e" * 100, 1) for _ in range(1500)]
    frames = 2 * FILE_BYTES // (1500 * 110)
    for number in range(frames):
        writer.publish(PeerBatch(float(number), reports))
        assert [batch.at for batch in reader.collect()] == [number]
    assert journal(tmp_path).stat().st_size <= FILE_BYTES
    writer.close()
    reader.close()


def test_without_the_folder_a_worker_goes_on_alone(tmp_path: Path) -> None:
    peers = JournalTransport(tmp_path / "missing")
    worker = Worker(peers, clock=Clock())
    worker.burst()
    worker.synchronise()
    assert worker.health.outages == {"e"}
    assert not peers.working
    assert peers.failures >= 2
    (tmp_path / "missing").mkdir()
    worker.health.failure("e", "server")
    worker.synchronise()
    assert len(list((tmp_path / "missing").iterdir())) == 1
    assert peers.working
    worker.sharing.close()


def test_another_machines_clock_is_not_believed(tmp_path: Path) -> None:
    clock, worker, _other = pair(tmp_path)
    stranger = JournalTransport(tmp_path)
    stranger.publish(PeerBatch(clock.now + 1e6, [HealthReport("e", failure=50, ejected_until=clock.now + 1e6)]))
    worker.synchronise()
    assert worker.health.counts("e", "1d").attempts == 0
    worker.sharing.close()
    stranger.close()


CACHED = Price(1_000_000_000, 1_000_000_000, 100_000_000)


def test_workers_know_each_others_conversations_and_what_was_forgotten(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    talk, usage = ConversationKey(b"talk", "conversation", False), Usage(10_000, 100, cached_tokens=0)
    offer = endpoint("two", price=CACHED, cache_lifetime_s=300.0)

    def turn(at: Worker, usage: Usage) -> None:
        clock.now += 1
        at.sticky.remember(talk, offer, usage, pending=False, hour=False)
        for worker in (one, other, one):
            worker.synchronise()

    turn(one, usage)
    assert (len(one.sticky), len(other.sticky)) == (1, 1)
    turn(other, usage)
    # Two misses in a row, one at each worker, and the conversation is free at both.
    turn(one, usage)
    assert (len(one.sticky), len(other.sticky)) == (0, 0)
    for worker in (one, other):
        worker.sharing.close()


def test_what_is_known_here_is_not_replaced_by_older_news(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    talk, usage = ConversationKey(b"talk", "session_id", False), Usage(10_000, 100, cached_tokens=5_000)
    for worker, name in ((one, "two"), (other, "three")):
        clock.now += 1
        offer = endpoint(name, price=CACHED, cache_lifetime_s=300.0)
        worker.sticky.remember(talk, offer, usage, pending=False, hour=False)
    one.synchronise()
    other.synchronise()
    one.synchronise()
    offers = [endpoint(name, price=CACHED, cache_lifetime_s=300.0) for name in ("two", "three")]
    planned = make_plan("a/b", offers, NO_PREFERENCES, PROFILE, state())
    for worker in (one, other):
        held = worker.sticky.apply(planned, talk, 10_000).sample(0.5)
        assert held.plan.endpoints[held.first].provider == "three"
    for worker in (one, other):
        worker.sharing.close()


def test_a_batch_that_comes_by_two_ways_counts_once(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    one, other = (Worker(*map(JournalTransport, folders)) for _ in range(2))
    one.burst()
    for worker in (one, other, other):
        worker.synchronise()
    assert other.health.counts("e", "1d").failure == 5
    for worker in (one, other):
        worker.sharing.close()


def test_endpoints_out_of_reach_are_left_out(tmp_path: Path) -> None:
    one, other = Worker(JournalTransport(tmp_path)), Worker(JournalTransport(tmp_path))
    other.sharing = StateSharing(other.health, other.sticky, other.sharing.ways, reachable={"near"})
    for name in ("near", "far"):
        one.burst(name)
    one.synchronise()
    other.synchronise()
    assert other.health.outages == {"near"}
    for worker in (one, other):
        worker.sharing.close()
