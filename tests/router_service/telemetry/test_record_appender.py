"""The records of ended requests reach the log together, and one that cannot be made costs no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.lake import Lake
from data.record.lake_reader import open_dataset, request_files
from router_service.core.exchange import Exchange
from router_service.telemetry import record_appender
from router_service.telemetry.log import RequestLog
from router_service.telemetry.record_appender import MAX_PENDING, MAX_PENDING_BODY_BYTES, RecordAppender
from router_service.telemetry.sealing import recover
from tests.exchanges import exchange_of


class Written:
    """A log on disk, and what was appended to it so far."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(folder).create()
        self.log = RequestLog(self.lake, "w")

    @property
    def count(self) -> int:
        return self.log.written + self.log.waiting

    def rows(self) -> list[dict[str, object]]:
        self.log.close()
        recover(self.lake)
        return open_dataset(request_files(self.lake)).to_table().to_pylist()


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path)
    yield made
    made.log.close()


def ended(body: bytes = b"{}") -> Exchange:
    exchange = exchange_of(body)
    exchange.outcome.status = 200
    return exchange


def test_those_of_two_turns_of_the_event_loop_are_appended_together(written: Written) -> None:
    async def add() -> list[int]:
        records = RecordAppender(written.log, "w")
        counts = []
        for _ in range(2):
            records.add(ended())
            records.add(ended())
            counts.append(written.count)
            await asyncio.sleep(0)
        return [*counts, written.count]

    assert asyncio.run(add()) == [0, 0, 4]
    assert len(written.rows()) == 4


def test_after_a_long_turn_none_waits_for_a_while(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine each turn lasts long, and what is pending is lost with the process."""
    monkeypatch.setattr(record_appender, "LONG_TURN_S", -1.0)
    monkeypatch.setattr(record_appender, "HURRY_S", 0.0)

    async def add() -> list[int]:
        records, counts = RecordAppender(written.log, "w"), []
        for pause_s in (None, 0, None, 0.01, None):
            if pause_s is None:
                records.add(ended())
            else:
                await asyncio.sleep(pause_s)
            counts.append(written.count)
        return counts

    # One waits for the turn that turns out to be long, the next does not, and the last one waits again.
    assert asyncio.run(add()) == [0, 1, 2, 2, 2]


def test_the_duration_ends_with_the_request_and_not_with_its_batch(written: Written) -> None:
    async def add() -> None:
        records = RecordAppender(written.log, "w")
        exchange = ended()
        lasted_us = exchange.request.elapsed_us()
        records.add(exchange)
        time.sleep(0.3)  # noqa: ASYNC251 (the event loop must not turn)
        records.flush()
        durations.append(lasted_us)

    durations: list[int] = []
    asyncio.run(add())
    found = written.rows()[0]["duration_us"]
    assert isinstance(found, int)
    assert found - durations[0] < 300_000


@pytest.mark.parametrize("body", [b"{}", b" " * (MAX_PENDING_BODY_BYTES // 4)])
def test_many_of_them_or_large_ones_do_not_wait(written: Written, body: bytes) -> None:
    async def add() -> list[int]:
        records, counts = RecordAppender(written.log, "w"), []
        for _ in range(MAX_PENDING):
            records.add(ended(body))
            counts.append(written.count)
        return counts

    together = MAX_PENDING if len(body) < MAX_PENDING else 4
    assert asyncio.run(add()) == [n // together * together for n in range(1, MAX_PENDING + 1)]


def test_nothing_waits_if_it_must_not(written: Written) -> None:
    async def add() -> int:
        RecordAppender(written.log, "w", at_once=True).add(ended())
        return written.count

    assert asyncio.run(add()) == 1


def test_a_look_up_finds_what_is_pending(written: Written) -> None:
    async def find() -> tuple[str, object]:
        records, exchange = RecordAppender(written.log, "w"), ended()
        records.add(exchange)
        row = records.find(exchange.request.id)
        assert records.find("gen-0-0") is None
        return exchange.request.id, row and row["generation_id"]

    wanted, found = asyncio.run(find())
    assert found == wanted


def test_a_record_that_cannot_be_made_is_counted_and_costs_no_other(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    async def add() -> None:
        records = RecordAppender(written.log, "w")
        odd = ended()
        odd.outcome.output_bytes = 2**70
        for one in (ended(), odd, ended()):
            records.add(one)
        records.flush()

    asyncio.run(add())
    assert (written.count, written.log.dropped) == (2, 1)
    assert "could not be made" in caplog.text
    assert len(written.rows()) == 2
