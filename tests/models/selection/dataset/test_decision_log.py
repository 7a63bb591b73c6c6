"""Hours of decisions: written once, again only when an hour has new requests, and read in order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from data.lake import Lake
from models.selection.dataset import decision_log
from tests.pipelines.test_marts import START_US, fill, records


def test_only_hours_with_new_requests_are_written_again(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(100)
    fill(lake, rows[:60])
    assert sum(decision_log.catch_up(lake).values()) == 60
    assert decision_log.catch_up(lake) == {}
    fill(lake, rows[60:])
    again = decision_log.catch_up(lake)
    assert min(again) == datetime.fromtimestamp(rows[60].started_at / 1e6, UTC).strftime(decision_log.HOUR)
    assert decision_log.count(lake) == 100


def test_reading_gives_the_last_in_order_of_arrival(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(100)
    fill(lake, rows[50:])
    fill(lake, rows[:50])
    decision_log.catch_up(lake)
    found = decision_log.read(lake, last=30)["generation_id"].to_list()
    assert found == [row.generation_id for row in rows[70:]]
    since = datetime.fromtimestamp(START_US / 1e6 + 97 * 79, UTC)
    assert len(decision_log.read(lake, since=since)) == 20


def test_a_request_that_was_sent_nowhere_is_no_decision_and_a_damaged_hour_is_written_again(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(3)
    rows[1].attempts = []
    fill(lake, rows)
    (hour,) = decision_log.catch_up(lake)
    assert decision_log.count(lake) == 2
    (lake.decisions / f"{hour}.parquet").write_bytes(b"torn")
    assert decision_log.catch_up(lake) == {hour: 2}


def test_a_source_that_has_gone_takes_no_decision_with_it(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(20)
    fill(lake, rows[:10])
    (hour,) = decision_log.catch_up(lake)
    for file in lake.requests.glob("day=*/*.parquet"):
        file.unlink()
    fill(lake, rows[10:])
    assert decision_log.catch_up(lake) == {hour: 20}
    assert decision_log.write_hour(lake, hour, []) == 20


def test_other_tasks_than_chat_are_no_decisions(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(6)
    rows[1].task, rows[4].task = "embeddings", "images"
    fill(lake, rows)
    decision_log.catch_up(lake)
    found = decision_log.read(lake)["generation_id"].to_list()
    assert found == [row.generation_id for place, row in enumerate(rows) if place not in (1, 4)]
