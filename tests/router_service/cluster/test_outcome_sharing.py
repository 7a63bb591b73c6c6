"""Test that workers share outcomes of calls: on one machine by files, between machines by a real server."""

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
from router_service.health.in_flight import PEER_TIMEOUT_S, RESEND_INTERVAL_S
from router_service.health.live_statistics import MAX_DELAY_S, MAX_UNSENT
from router_service.health.messages import HealthReport, InFlightMessage, OutcomeMessage
from router_service.health.outcome_messages import from_message, to_message
from tests.peers import Clock, Server, Worker


def pair(folder: Path) -> tuple[Clock, Worker, Worker]:
    clock = Clock()
    return clock, Worker(JournalTransport(folder), clock=clock), Worker(JournalTransport(folder), clock=clock)


def exchange(*workers: Worker) -> None:
    for worker in workers:
        worker.synchronise()


def close(*workers: Worker) -> None:
    for worker in workers:
        worker.sharing.close()


def test_two_workers_have_the_same_view_of_one_workers_calls(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    for error in (None, "rate_limit_exceeded", "server", "server", "invalid_request", None, "server"):
        one.call(error=error)
    exchange(one, other, one)
    assert [tuple(recent) for recent in other.view().recent] == [
        pytest.approx(tuple(recent), abs=1e-5) for recent in one.view().recent
    ]
    assert (other.view().streak, other.view().cap, other.view().in_flight) == (1, one.view().cap, 0)
    close(one, other)


def test_calls_in_flight_are_shared_and_dropped_when_their_worker_dies(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    begun, attempt = one.begin()
    one.begin()
    other.begin()
    exchange(one, other, one)
    assert (one.view().in_flight, other.view().in_flight) == (3, 3)
    one.outcomes.end(begun, attempt, "answered")
    exchange(one, other)
    assert other.view().in_flight == 2
    clock.now += PEER_TIMEOUT_S + 1
    other.synchronise()
    assert other.view().in_flight == 1
    close(one, other)


def test_a_long_call_of_a_worker_without_other_traffic_is_not_dropped(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    one.begin()
    for _ in range(10):
        clock.now += RESEND_INTERVAL_S
        exchange(one, other)
    assert other.view().in_flight == 1
    close(one, other)


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
        assert other.view().since_failure_s == pytest.approx(0.0, abs=5.0)
        close(one, other)


def test_a_late_outcome_is_ignored_except_by_a_worker_that_begins(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    clock.now += 10
    one.call(error="server")
    one.synchronise()
    clock.now += MAX_DELAY_S + 1
    newcomer = Worker(JournalTransport(tmp_path), clock=clock)
    exchange(other, newcomer)
    assert (other.view().streak, newcomer.view().streak) == (0, 1)
    assert newcomer.view().since_failure_s == pytest.approx(MAX_DELAY_S + 1)
    close(one, other, newcomer)


def test_a_worker_that_begins_reads_the_outcomes_of_several_workers_in_order_of_time(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    for worker, error in ((one, "server"), (other, None), (one, "server"), (one, None)):
        clock.now += 1
        worker.call(error=error)
        worker.synchronise()
    newcomer = Worker(JournalTransport(tmp_path), clock=clock)
    newcomer.synchronise()
    assert (newcomer.view().streak, newcomer.view().recent[3].attempts) == (0, pytest.approx(4, abs=0.01))
    close(one, other, newcomer)


def test_of_too_many_outcomes_the_newest_are_sent(tmp_path: Path) -> None:
    _, one, other = pair(tmp_path)
    for number in range(MAX_UNSENT + 50):
        one.call("old:m" if number < 50 else "new:m")
    batches = one.sharing._drain(one.sharing._outboxes[0])
    assert sum(len(batch.outcomes) for batch in batches) == MAX_UNSENT
    assert max(len(batch.outcomes) for batch in batches) == BATCH_SIZE
    assert {message.endpoint for batch in batches for message in batch.outcomes} == {"new:m"}
    close(one, other)


class BatchWithoutOutcomes(msgspec.Struct, frozen=True, array_like=True):
    """Describe the batch of an earlier version."""

    at: float
    reports: list[HealthReport]
    conversations: list[ConversationMessage] = []
    sender: str = ""
    number: int = 0


def test_an_older_version_and_this_one_read_each_others_batches() -> None:
    batch = PeerBatch(1.0, [HealthReport("e", 1)], [], "a", 7, [OutcomeMessage("e:m", 0)], [InFlightMessage("e:m", 2)])
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=BatchWithoutOutcomes)
    assert (old.reports, old.number) == (batch.reports, 7)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=PeerBatch).outcomes == []


@pytest.mark.parametrize(
    "wrong", [["e", 3], ["e", 0, -1], ["e", 0, 0, 10**13], ["e", 0, 0, 0, 0, True, 3], ["e" * 999, 0]]
)
def test_a_value_out_of_bounds_is_rejected(wrong: list[object]) -> None:
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
def test_an_outcome_is_the_same_after_conversion_to_a_message_and_back(outcome: AttemptObservation) -> None:
    assert from_message(to_message(outcome, 100.0), 100.0) == outcome


def test_values_out_of_bounds_are_sent_as_the_bound() -> None:
    extreme = to_message(AttemptObservation(0.0, "e:m", "e", "success", 0.0, float("inf"), float("inf")), 1e9)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(extreme), type=OutcomeMessage) == extreme
