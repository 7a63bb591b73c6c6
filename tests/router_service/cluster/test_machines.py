"""Test that workers of several machines share through a real server, and continue alone without it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import valkey

from data.catalogue.types import Price
from router_service.affinity.messages import ConversationMessage
from router_service.cluster.journal import JournalTransport
from router_service.cluster.messages import PeerBatch
from router_service.cluster.valkey_stream import (
    MAX_RETRY_S,
    MAX_UNSENT_AGE_S,
    STREAM_LENGTH,
    ValkeyTransport,
    decode,
    encode,
)
from router_service.core.conversation import ConversationKey
from router_service.core.preferences import NO_PREFERENCES
from router_service.core.usage import Usage
from router_service.health.breaker import BASE_EJECTION_S, HEAD_START_S, MAX_EJECTION_S, PROBE_LEASE_S
from router_service.health.messages import HealthReport
from router_service.planning.make_plan import make_plan
from router_service.settings import Settings
from tests.market import PROFILE, endpoint, state
from tests.outcomes import failed
from tests.peers import PASSWORD, Clock, Server, Worker

OFFERS = [
    endpoint(name, price=Price(1_000_000_000, 1_000_000_000, 100_000_000), cache_lifetime_s=300.0)
    for name in ("one", "two", "three")
]
TALK = ConversationKey(b"talk", "conversation", False)
KEY = "p:peers:1"


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    """Return the server without any data."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server


def transport(server: Server, clock: Clock | None = None, prefix: str = "p") -> ValkeyTransport:
    return ValkeyTransport(server.url(), prefix, clock or Clock())


def machine(server: Server, clock: Clock | None = None, prefix: str = "p") -> Worker:
    clock = clock or Clock()
    return Worker(transport(server, clock, prefix), clock=clock)


def test_a_burst_of_failures_is_known_on_another_machine_whatever_its_clock(server: Server) -> None:
    young, old = Clock(3.0), Clock(9e6)
    with machine(server, young) as one, machine(server, old) as other:
        one.burst()
        one.health.report(failed("limited", "rate_limit_exceeded", 60.0))
        for worker in (one, other, one, other):
            worker.synchronise()
        for worker, clock in ((one, young), (other, old)):
            assert worker.health.counts("e", "30s") == (0, 5, 0, 0)
            assert worker.health.ejected(["e", "f"]) == {"e"}
            assert worker.health.limited("limited")
            clock.now += BASE_EJECTION_S + HEAD_START_S + 0.1
            worker.health.refresh()
            assert worker.health.ejected(["e", "f"]) == frozenset()
            clock.now += 50
            worker.health.refresh()
            assert worker.health.limited("limited")
            clock.now += 10
            worker.health.refresh()
            assert not worker.health.limited("limited")


def test_one_machine_probes_for_all_and_no_message_can_block_a_probe_for_long(server: Server) -> None:
    young, old = Clock(3.0), Clock(9e6)
    with machine(server, young) as one, machine(server, old) as other:
        one.burst()
        for worker in (one, other, one, other):
            worker.synchronise()
        young.now += BASE_EJECTION_S
        old.now += BASE_EJECTION_S + HEAD_START_S
        assert one.health.try_acquire("e")
        one.synchronise()
        other.synchronise()
        assert not other.health.try_acquire("e")
        one.sharing.transports[0].exchange(
            [PeerBatch(young.now, [HealthReport("e", probe_until=float("inf"))], [], "stranger", 1)]
        )
        other.synchronise()
        assert not other.health.try_acquire("e")
        old.now += PROBE_LEASE_S
        assert other.health.try_acquire("e")


def test_a_conversation_continues_at_another_machine(server: Server) -> None:
    young, old = Clock(3.0), Clock(9e6)
    planned = make_plan("a/b", OFFERS, NO_PREFERENCES, PROFILE, state())
    with machine(server, young) as one, machine(server, old) as other:
        one.sticky.remember(TALK, OFFERS[1], Usage(10_000, 100, cached_tokens=0), pending=False, hour=False)
        one.synchronise()
        other.synchronise()
        held = other.sticky.apply(planned, TALK, 10_000).sample(0.999)
        assert (held.arm.policy, held.plan.endpoints[held.first].provider) == ("sticky", "two")
        old.now += 299
        assert other.sticky.apply(planned, TALK, 10_000) is not planned
        old.now += 1
        assert other.sticky.apply(planned, TALK, 10_000) is planned


def test_a_batch_that_was_sent_late_counts_at_the_time_of_its_events(server: Server) -> None:
    clock, mine = Clock(), Clock()
    with machine(server, mine) as one:
        late = transport(server, clock)
        batch = PeerBatch(clock.now, [HealthReport("e", failure=5)])
        clock.now += MAX_UNSENT_AGE_S - 5
        late.exchange([batch])
        one.synchronise()
        late.close()
        assert (one.health.counts("e", "30s").failure, one.health.counts("e", "5m").failure) == (5, 5)
        mine.now += 10
        assert (one.health.counts("e", "30s").failure, one.health.counts("e", "5m").failure) == (0, 5)


def test_a_machine_that_was_disconnected_or_begins_reads_what_it_missed(server: Server) -> None:
    with machine(server) as one, machine(server) as away:
        away.synchronise()
        for name in ("a", "b", "c"):
            one.burst(name)
            one.synchronise()
        with machine(server) as newcomer:
            for worker in (away, newcomer):
                worker.synchronise()
                assert worker.health.outages == {"a", "b", "c"}


def test_workers_that_also_share_files_count_each_batch_once(server: Server, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    clock = Clock()
    workers = [
        Worker(JournalTransport(tmp_path / folder), transport(server, clock), clock=clock)
        for folder in ("a", "a", "b", "b")
    ]
    for worker in workers:
        worker.burst()
    for _ in range(2):
        for worker in workers:
            worker.synchronise()
    assert [worker.health.counts("e", "1d").failure for worker in workers] == [20, 20, 20, 20]
    for worker in workers:
        worker.sharing.close()


def test_installations_with_different_prefixes_do_not_mix(server: Server) -> None:
    with machine(server, prefix="p") as one, machine(server, prefix="q") as other:
        one.burst()
        one.synchronise()
        other.synchronise()
        assert other.health.outages == frozenset()


def test_the_servers_memory_is_bounded_and_expires(server: Server) -> None:
    sender = transport(server)
    for number in range(30):
        sender.exchange([PeerBatch(1000.0, [HealthReport("e", 1)], [], "s", 200 * number + n) for n in range(200)])
    with server.client() as client:
        # Redis trims whole nodes of at most a hundred entries.
        assert STREAM_LENGTH <= client.xlen(KEY) <= STREAM_LENGTH + 100
        assert 0 < client.ttl(KEY) <= 3600
    with machine(server) as late:
        late.synchronise()
        assert late.health.counts("e", "1d").success >= STREAM_LENGTH
    sender.close()


def hostile() -> list[dict[str, bytes]]:
    """Return entries that no worker would write."""
    good = encode(PeerBatch(0.0, [HealthReport("x", 1)]), 0.0)
    forever, never = float("inf"), float("nan")
    talk = ConversationMessage(b"t", "m", "e", 0.0, 0.0, 1, 1, 1)
    batches = [
        PeerBatch(never, []),
        PeerBatch(0.0, [], [msgspec.structs.replace(talk, at=never)]),
        PeerBatch(0.0, [], [msgspec.structs.replace(talk, until=forever)]),
        PeerBatch(0.0, [HealthReport("x", -1)]),
        PeerBatch(0.0, [HealthReport("x", 2**40)]),
        PeerBatch(0.0, [HealthReport("x", ejections=1000)]),
        PeerBatch(0.0, [HealthReport("x" * 1000)]),
    ]
    raw = [b"", b"\xc1", good[:-1], b"\x93\x00", *(msgspec.msgpack.encode(batch) for batch in batches)]
    return [{"b": content} for content in raw] + [{"other": good}]


def test_invalid_entries_are_counted_and_skipped(server: Server) -> None:
    entries = hostile()
    with server.client() as client:
        for fields in entries:
            client.xadd(KEY, fields)
    with machine(server) as one, machine(server) as other:
        one.burst()
        one.synchronise()
        other.synchronise()
        assert other.health.outages == {"e"}
        assert other.health.counts("x", "1d").attempts == 0
        assert other.sharing.transports[0].failures == len(entries)


def test_a_received_ejection_is_limited_to_the_maximum() -> None:
    endless = msgspec.msgpack.encode(
        PeerBatch(0.0, [HealthReport("x", ejected_until=float("inf"), retry_until=float("nan"))])
    )
    batch = decode(endless, 50.0)
    assert batch is not None
    assert (batch.reports[0].ejected_until, batch.reports[0].retry_until) == (50.0 + MAX_EJECTION_S, 0.0)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of the log, and check that no secret is in it."""
    assert PASSWORD not in caplog.text
    assert "%20" not in caplog.text
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_server_that_is_down_at_the_start_is_used_once_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, clock = Server(tmp_path), Clock()
    with machine(server, clock) as one, machine(server, clock) as other:
        one.burst("mine")
        for _ in range(20):
            one.synchronise()
            clock.now += 0.25
        assert one.health.outages == {"mine"}
        (valkey_transport,) = one.sharing.transports
        # 5 s contain attempts after pauses of 0.5, 1, 2 and 4 s.
        assert (valkey_transport.failures, valkey_transport.working) == (4, False)
        assert len(warnings(caplog)) == 1
        with server:
            clock.now += MAX_RETRY_S
            one.burst("yours")
            one.synchronise()
            other.synchronise()
            assert (valkey_transport.failures, valkey_transport.working) == (4, True)
            assert other.health.outages == {"mine", "yours"}
            assert [text.split(":")[0].split("(")[0].strip() for text in warnings(caplog)] == [
                "The server of PORTOLAN_VALKEY_URL is lost",
                "The server of PORTOLAN_VALKEY_URL is back",
            ]


def test_batches_are_sent_after_a_short_outage_of_the_server(tmp_path: Path) -> None:
    clock = Clock()
    with Server(tmp_path) as server, machine(server, clock) as one, machine(server, clock) as other:
        for worker in (one, other):
            worker.synchronise()
        server.stop()
        one.burst()
        for worker in (one, other):
            worker.synchronise()
        assert one.health.outages == {"e"}
        assert other.health.outages == frozenset()
        server.start()
        clock.now += 1
        for worker in (one, other):
            worker.synchronise()
        assert other.health.outages == {"e"}
        assert other.health.counts("e", "1d").failure == 5


async def test_a_server_that_hangs_delays_neither_the_journal_nor_the_event_loop(tmp_path: Path) -> None:
    """Let a server accept connections and answer nothing."""
    (tmp_path / "health").mkdir()
    with Server(tmp_path) as server:
        workers = [Worker(JournalTransport(tmp_path / "health"), ValkeyTransport(server.url(), "p")) for _ in range(2)]
        server.pause()
        tasks = [asyncio.create_task(worker.sharing.run()) for worker in workers]
        workers[0].burst()
        turns = 0
        while not workers[1].health.outages or not all(worker.sharing.transports[1].failures for worker in workers):
            await asyncio.sleep(0.01)
            turns += 1
            assert turns < 3000
        assert workers[0].sharing.transports[0].working
        assert not workers[0].sharing.transports[1].working
        server.resume()
        while not all(worker.sharing.transports[1].working for worker in workers):
            await asyncio.sleep(0.01)
            turns += 1
            assert turns < 12_000
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [worker.health.counts("e", "1d").failure for worker in workers] == [5, 5]
        for worker in workers:
            await asyncio.to_thread(worker.sharing.close)


def test_a_wrong_password_is_logged_without_showing_it(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    wrong = ValkeyTransport(server.url("not this one"), "p", clock)
    with Worker(wrong, clock=clock) as one, machine(server) as other:
        one.burst()
        one.synchronise()
        assert (wrong.failures, wrong.working) == (1, False)
        (warning,) = warnings(caplog)
        assert "password" in warning
        assert "not this one" not in caplog.text
        with server.client() as client:
            client.config_set("requirepass", "not this one")
        try:
            clock.now += MAX_RETRY_S
            one.synchronise()
            assert wrong.working
        finally:
            with valkey.Valkey.from_url(server.url("not this one")) as client:
                client.config_set("requirepass", PASSWORD)
        other.synchronise()
        assert other.health.outages == {"e"}


def test_sharing_survives_a_key_of_another_type_and_an_emptied_server(server: Server) -> None:
    clock = Clock()
    with machine(server, clock) as one, machine(server, clock) as other, server.client() as client:
        client.set(KEY, "not a stream")
        one.burst("a")
        one.synchronise()
        assert not one.sharing.transports[0].working
        client.flushall()
        clock.now += 1
        for known in ({"a"}, {"a", "b"}):
            for worker in (one, other):
                worker.synchronise()
            assert other.health.outages == known
            client.flushall()
            # Ids are milliseconds: within one, an emptied stream begins with an id that was read before.
            time.sleep(0.002)
            one.burst("b")


@pytest.mark.parametrize(
    "url",
    ["http://:secret@host:1", "redis://:sec/ret@host:1/0", "redis://:secret@host:port", "redis://:secret@host/0?no=1"],
)
def test_an_invalid_address_is_rejected_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_VALKEY_URL", url)
    with pytest.raises(ValueError, match="must be like redis://") as refused:
        Settings()
    assert "sec" not in str(refused.value)
    assert "ret@" not in str(refused.value)


def test_the_address_is_treated_as_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_VALKEY_URL", "rediss://user:secret@host:6380/1")
    settings = Settings()
    assert "secret" not in repr(settings)
    assert settings.valkey_url is not None
    monkeypatch.setenv("PORTOLAN_VALKEY_URL", "")
    assert Settings().valkey_url is None
