"""Test that workers of one machine share failures, and that damaged files leave each with its own observations."""

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
from router_service.health.breaker import BASE_EJECTION_S, HEAD_START_S, PROBE_LEASE_S
from router_service.health.health import INTERVAL_S
from router_service.health.messages import HealthReport
from router_service.planning.make_plan import make_plan
from tests.market import PROFILE, endpoint, state
from tests.outcomes import answered, failed, outcome
from tests.peers import Clock, Worker


def pair(folder: Path) -> tuple[Clock, Worker, Worker]:
    clock = Clock()
    return clock, Worker(JournalTransport(folder), clock=clock), Worker(JournalTransport(folder), clock=clock)


def journal(folder: Path) -> Path:
    (path,) = folder.glob("*.health")
    return path


def test_a_burst_of_failures_in_another_process_is_known_after_the_next_exchange(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.health_worker", str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"e\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"sent\n"
        worker = Worker(JournalTransport(tmp_path))
        worker.synchronise()
        health = worker.health
        assert health.outages == {"e"}
        assert health.ejected(["e", "f"]) == {"e"}
        assert health.counts("e", "1d").failure == 5
        other.kill()
    # The lock of a dead peer's file is free; once the file is old enough, it is removed.
    path = journal(tmp_path)
    os.utime(path, (0, 0))
    worker.sharing.close()
    newcomer = JournalTransport(tmp_path)
    assert newcomer.collect() == []
    assert not path.exists()
    newcomer.close()


async def test_running_workers_exchange_by_themselves(tmp_path: Path) -> None:
    """Check also that two intervals, of writing and of reading, are under a second, as the docs promise."""
    assert 2 * INTERVAL_S < 1
    _, one, other = pair(tmp_path)
    tasks = [asyncio.create_task(worker.sharing.run()) for worker in (one, other)]
    one.health.report(failed("e", "rate_limit_exceeded", 60.0))
    for _ in range(400):
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


def test_counts_are_merged_once_and_ejections_are_followed(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    one.health.report(answered("e", 0.3, 40.0))
    for _ in range(7):
        one.health.report(failed("e", "server"))
    for _ in range(3):
        one.synchronise()
        other.synchronise()
    assert other.health.counts("e", "30s") == one.health.counts("e", "30s") == (1, 7, 0, 0)
    assert other.health.ejected(["e", "f"]) == {"e"}
    clock.now += BASE_EJECTION_S + HEAD_START_S
    one.health.refresh()
    assert other.health.try_acquire("e")
    other.health.report(answered("e"))
    other.synchronise()
    one.synchronise()
    assert one.health.ejected(["e", "f"]) == frozenset()


def recovering(folder: Path, workers: int = 4) -> tuple[Clock, list[Worker]]:
    """Return workers of which the first has ejected ``e`` and the others have followed, at the time of the probe."""
    clock = Clock()
    found = [Worker(JournalTransport(folder), clock=clock) for _ in range(workers)]
    found[0].burst()
    exchange(found)
    assert all(worker.health.ejected(["e", "f"]) == {"e"} for worker in found)
    clock.now += BASE_EJECTION_S
    for worker in found:
        worker.health.refresh()
    return clock, found


def exchange(workers: list[Worker]) -> None:
    for worker in (*workers, *workers):
        worker.synchronise()


def granted(workers: list[Worker]) -> list[int]:
    """Return which workers may call ``e`` now; each is asked twice."""
    return [number for number, worker in enumerate(workers) for _ in range(2) if worker.health.try_acquire("e")]


def close(workers: list[Worker]) -> None:
    for worker in workers:
        worker.sharing.close()


def test_one_of_all_workers_probes_and_its_success_readmits_the_endpoint_everywhere(tmp_path: Path) -> None:
    clock, workers = recovering(tmp_path)
    # All ask at once, before any has a message from another: the worker that ejected it goes first.
    assert granted(workers) == [0]
    for _ in range(40):
        clock.now += INTERVAL_S
        exchange(workers)
        assert granted(workers) == []
        assert all(worker.health.ejected(["e", "f"]) == {"e"} for worker in workers)
    workers[0].health.report(answered("e"))
    exchange(workers)
    assert all(worker.health.ejected(["e", "f"]) == frozenset() for worker in workers)
    close(workers)


def test_a_failed_probe_ejects_the_endpoint_at_all_workers(tmp_path: Path) -> None:
    clock, workers = recovering(tmp_path)
    assert granted(workers) == [0]
    workers[0].health.report(failed("e", "timeout"))
    exchange(workers)
    clock.now += 2 * BASE_EJECTION_S - 0.1
    exchange(workers)
    assert all(worker.health.ejected(["e", "f"]) == {"e"} for worker in workers)
    clock.now += 0.1
    assert granted(workers) == [0]
    close(workers)


def test_without_traffic_at_the_first_worker_another_probes_after_its_head_start(tmp_path: Path) -> None:
    clock, workers = recovering(tmp_path)
    clock.now += HEAD_START_S - 0.1
    assert granted(workers[1:]) == []
    clock.now += 0.1
    assert granted(workers[1:2]) == [0]
    exchange(workers)
    assert granted(workers) == []
    close(workers)


@pytest.mark.parametrize("dies", [True, False])
def test_a_probe_whose_worker_dies_or_abandons_it_does_not_block_the_others(tmp_path: Path, dies: bool) -> None:
    clock, workers = recovering(tmp_path)
    assert granted(workers) == [0]
    exchange(workers)
    if dies:
        workers.pop(0).sharing.close()
    else:
        workers[0].health.report(outcome("e", "abandoned"))
    clock.now += PROBE_LEASE_S
    exchange(workers)
    assert len(granted(workers[-1:])) == 1
    close(workers)


def test_a_late_reader_counts_events_at_the_time_they_happened(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    for _ in range(5):
        one.health.report(failed("e", "server"))
    one.synchronise()
    clock.now += 60
    other.synchronise()
    assert other.health.outages == frozenset()
    assert other.health.ejected(["e", "f"]) == frozenset()
    assert (other.health.counts("e", "30s").failure, other.health.counts("e", "5m").failure) == (0, 5)


def test_a_half_written_frame_is_read_once_it_is_complete(tmp_path: Path) -> None:
    writer, reader = JournalTransport(tmp_path), JournalTransport(tmp_path)
    batch = PeerBatch(1.0, [HealthReport("e", 1, 2, 3, 4)])
    writer.publish(batch)
    complete = journal(tmp_path).read_bytes()
    for length in (3, FRAME.size, len(complete) - 1):
        journal(tmp_path).write_bytes(complete[:length])
        assert reader.collect() == []
    journal(tmp_path).write_bytes(complete)
    assert reader.collect() == [batch]
    assert reader.collect() == []
    assert reader.failures == 0
    writer.close()
    reader.close()


@pytest.mark.parametrize(
    "garbage", [b"\0" * 64, b"\xff" * 64, FRAME.pack(3, 0) + b"abc", random.Random(3).randbytes(4096)]
)
def test_a_damaged_file_is_skipped_and_counted_and_affects_no_other(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "1-bad.health").write_bytes(garbage)
    good, reader = JournalTransport(tmp_path), JournalTransport(tmp_path)
    received = []
    for number in range(6):
        good.publish(PeerBatch(float(number), [HealthReport("e", number)]))
        received += reader.collect()
    assert [batch.at for batch in received] == [0, 1, 2, 3, 4, 5]
    assert reader.failures == 1
    good.close()
    reader.close()


def test_a_full_file_begins_anew_and_is_still_followed(tmp_path: Path) -> None:
    writer, reader = JournalTransport(tmp_path), JournalTransport(tmp_path)
    reports = [HealthReport("e" * 100, 1) for _ in range(1500)]
    frames = 2 * FILE_BYTES // (1500 * 110)
    for number in range(frames):
        writer.publish(PeerBatch(float(number), reports))
        assert [batch.at for batch in reader.collect()] == [number]
    assert journal(tmp_path).stat().st_size <= FILE_BYTES
    writer.close()
    reader.close()


def test_without_the_folder_a_worker_continues_alone(tmp_path: Path) -> None:
    peers = JournalTransport(tmp_path / "missing")
    worker = Worker(peers, clock=Clock())
    worker.burst()
    worker.synchronise()
    assert worker.health.outages == {"e"}
    assert not peers.working
    assert peers.failures >= 2
    (tmp_path / "missing").mkdir()
    worker.health.report(failed("e", "server"))
    worker.synchronise()
    assert len(list((tmp_path / "missing").iterdir())) == 1
    assert peers.working
    worker.sharing.close()


def test_a_batch_with_another_machines_clock_is_ignored(tmp_path: Path) -> None:
    clock, worker, _other = pair(tmp_path)
    stranger = JournalTransport(tmp_path)
    stranger.publish(PeerBatch(clock.now + 1e6, [HealthReport("e", failure=50, ejected_until=clock.now + 1e6)]))
    worker.synchronise()
    assert worker.health.counts("e", "1d").attempts == 0
    worker.sharing.close()
    stranger.close()


CACHED = Price(1_000_000_000, 1_000_000_000, 100_000_000)


def test_workers_share_conversations_and_those_that_were_forgotten(tmp_path: Path) -> None:
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
    # After two consecutive misses, one at each worker, the conversation is free at both.
    turn(one, usage)
    assert (len(one.sticky), len(other.sticky)) == (0, 0)
    for worker in (one, other):
        worker.sharing.close()


def test_an_entry_is_not_replaced_by_an_older_one(tmp_path: Path) -> None:
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


def test_a_batch_that_arrives_by_two_transports_counts_once(tmp_path: Path) -> None:
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


def test_messages_about_unreachable_endpoints_are_ignored(tmp_path: Path) -> None:
    one, other = Worker(JournalTransport(tmp_path)), Worker(JournalTransport(tmp_path))
    other.sharing = StateSharing(other.health, other.sticky, other.sharing.transports, reachable={"near"})
    for name in ("near", "far"):
        one.burst(name)
    one.synchronise()
    other.synchronise()
    assert other.health.outages == {"near"}
    for worker in (one, other):
        worker.sharing.close()
