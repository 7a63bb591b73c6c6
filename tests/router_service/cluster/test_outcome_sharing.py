"""What calls come to is known to the other workers: of one machine by files, of another by a real server."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from models.selection.decision.outcome import AttemptObservation
from router_service.affinity.messages import ConversationMessage
from router_service.cluster import valkey_stream
from router_service.cluster.journal import JournalTransport
from router_service.cluster.messages import PeerBatch
from router_service.cluster.sharing import BATCH_SIZE
from router_service.cluster.valkey_stream import ValkeyTransport
from router_service.health.in_flight import SILENT_S, TOLD_AGAIN_S
from router_service.health.live_statistics import LATE_S, MOST_TOLD
from router_service.health.messages import HealthReport, InFlightMessage, OutcomeMessage
from router_service.health.outcome_messages import from_message, to_message
from tests.peers import Clock, Server, Worker


def pair(folder: Path) -> tuple[Clock, Worker, Worker]:
    clock = Clock()
    return clock, Worker(JournalTransport(folder), clock=clock), Worker(JournalTransport(folder), clock=clock)


def exchange(*workers: Worker) -> None:
    for worker in workers:
        worker.synchronise()


def closed(*workers: Worker) -> None:
    for worker in workers:
        worker.sharing.close()


def test_what_one_worker_sees_the_other_knows_the_same_of(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    for error in (None, "rate_limit_exceeded", "server", "server", "invalid_request", None, "server"):
        one.call(error=error)
    exchange(one, other, one)
    assert [tuple(recent) for recent in other.view().recent] == [
        pytest.approx(tuple(recent), abs=1e-5) for recent in one.view().recent
    ]
    assert (other.view().streak, other.view().cap, other.view().in_flight) == (1, one.view().cap, 0)
    closed(one, other)


def test_calls_under_way_are_known_and_forgotten_when_their_worker_dies(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    begun, attempt = one.begin()
    one.begin()
    other.begin()
    exchange(one, other, one)
    assert (one.view().in_flight, other.view().in_flight) == (3, 3)
    one.outcomes.end(begun, attempt, "answered")
    exchange(one, other)
    assert other.view().in_flight == 2
    clock.now += SILENT_S + 1
    other.synchronise()
    assert other.view().in_flight == 1
    closed(one, other)


def test_a_quiet_worker_with_a_long_call_is_not_forgotten(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    one.begin()
    for _ in range(10):
        clock.now += TOLD_AGAIN_S
        exchange(one, other)
    assert other.view().in_flight == 1
    closed(one, other)


def test_another_machines_clock_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine a server that answers late is not lost.
    monkeypatch.setattr(valkey_stream, "TIMEOUT_S", 60.0)
    with Server(tmp_path) as server:
        young, old = Clock(3.0), Clock(9e6)
        one, other = (Worker(ValkeyTransport(server.url(), "p", clock), clock=clock) for clock in (young, old))
        exchange(other)
        one.call(error="server")
        exchange(one, other)
        assert other.view().streak == 1
        assert other.view().since_failure_s == pytest.approx(0.0, abs=60.0)
        closed(one, other)


def test_what_comes_late_says_nothing_of_now_and_history_is_read_by_who_begins(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    clock.now += 10
    one.call(error="server")
    one.synchronise()
    clock.now += LATE_S + 1
    newcomer = Worker(JournalTransport(tmp_path), clock=clock)
    exchange(other, newcomer)
    assert (other.view().streak, newcomer.view().streak) == (0, 1)
    assert newcomer.view().since_failure_s == pytest.approx(LATE_S + 1)
    closed(one, other, newcomer)


def test_what_several_workers_saw_before_is_read_in_its_order(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    for worker, error in ((one, "server"), (other, None), (one, "server"), (one, None)):
        clock.now += 1
        worker.call(error=error)
        worker.synchronise()
    newcomer = Worker(JournalTransport(tmp_path), clock=clock)
    newcomer.synchronise()
    assert (newcomer.view().streak, newcomer.view().recent[3].attempts) == (0, pytest.approx(4, abs=0.01))
    closed(one, other, newcomer)


def test_of_too_many_the_newest_are_told(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    for number in range(MOST_TOLD + 50):
        one.call("old:m" if number < 50 else "new:m")
    batches = one.sharing._take(one.sharing._outboxes[0])
    assert sum(len(batch.outcomes) for batch in batches) == MOST_TOLD
    assert max(len(batch.outcomes) for batch in batches) == BATCH_SIZE
    assert {to_message.endpoint for batch in batches for to_message in batch.outcomes} == {"new:m"}
    closed(one, other)


class OldBatch(msgspec.Struct, frozen=True, array_like=True):
    """As the version before this one has it."""

    at: float
    reports: list[HealthReport]
    conversations: list[ConversationMessage] = []
    sender: str = ""
    number: int = 0


def test_an_older_version_reads_on_without_and_is_read() -> None:
    batch = PeerBatch(1.0, [HealthReport("e", 1)], [], "a", 7, [OutcomeMessage("e:m", 0)], [InFlightMessage("e:m", 2)])
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=OldBatch)
    assert (old.reports, old.number) == (batch.reports, 7)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=PeerBatch).outcomes == []


@pytest.mark.parametrize(
    "wrong", [["e", 3], ["e", 0, -1], ["e", 0, 0, 10**13], ["e", 0, 0, 0, 0, True, 3], ["e" * 999, 0]]
)
def test_a_value_beyond_its_bounds_is_not_read(wrong: list[object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode([1.0, [], [], "a", 1, [wrong]]), type=PeerBatch)


@pytest.mark.parametrize(
    "outcome",
    [
        AttemptObservation(99.5, "e:m", "e", "success", 0.0, 0.25, 80.0, True, True),
        AttemptObservation(99.5, "e:m", "e", "success", 0.0, tools=True, total_s=4.0, began_s=95.5),
        AttemptObservation(99.5, "e:m", "e", "rate_limited", 0.0),
    ],
)
def test_an_outcome_is_heard_as_it_was_told(outcome: AttemptObservation) -> None:
    assert from_message(to_message(outcome, 100.0), 100.0) == outcome


def test_what_no_bound_can_hold_is_told_as_the_bound() -> None:
    extreme = to_message(AttemptObservation(0.0, "e:m", "e", "success", 0.0, float("inf"), float("inf")), 1e9)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(extreme), type=OutcomeMessage) == extreme
