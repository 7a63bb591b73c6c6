"""An erasure removes the requests of a key or a user everywhere, and says what it found afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from data.record.record import Record
from models.selection.dataset import decision_log
from pipelines import erasure
from pipelines.build import build_mart
from pipelines.defs.compaction.compact import CompactionSettings, compact
from pipelines.erasure import Subject, erase
from pipelines.retention import RetentionSettings, delete_expired, retention_from_environment
from router_service.telemetry.key_usage import KeyUsageReader
from router_service.telemetry.request_columns import hashed_user
from tests.pipelines.test_marts import NOW, fill, records
from tests.running import portolan

COUNT = 90
KEYS = ("a" * 64, "b" * 64, None)
ALICE = hashed_user("alice", KEYS[0])


def written(lake: Lake) -> list[Record]:
    """Seal records of two keys and of none, some of a user, in two files; build everything on them."""
    rows = records(COUNT)
    for number, row in enumerate(rows):
        row.key_hash = KEYS[number % 3]
        row.user_hash = ALICE if number % 9 == 0 else None
        row.session_id = f"session-{number}"
    fill(lake, rows[:50])
    fill(lake, rows[50:])
    decision_log.catch_up(lake)
    build_mart(lake, NOW)
    return rows


def requests(lake: Lake) -> dict[str | None, int]:
    with open_mart(lake) as mart:
        return dict(
            mart.execute("SELECT key_hash, CAST(sum(requests) AS BIGINT) FROM keys_hourly GROUP BY 1").fetchall()
        )


@pytest.mark.parametrize("compacted", [False, True])
def test_the_requests_of_a_key_are_erased_everywhere(tmp_path: Path, compacted: bool) -> None:
    lake = Lake(tmp_path)
    rows = written(lake)
    if compacted:
        compact(lake, datetime.now(UTC) + timedelta(days=1), CompactionSettings(0, 0, 1e9))
    usage = KeyUsageReader(lake)
    assert usage.of(KEYS[0] or "").total > 0
    report = erase(lake, Subject(KEYS[0] or ""), NOW)
    assert report.complete
    assert (report.requests, report.decisions) == (30, 30)
    assert requests(lake) == {KEYS[1]: 30, None: 30}
    assert lake_files.read_all(lake, ["key_hash"])["key_hash"].to_pylist().count(KEYS[0]) == 0
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock")
    assert (KEYS[0] or "").encode() not in content
    gone = [row.generation_id for row in rows[::3]]
    assert not set(gone) & set(decision_log.read(lake)["generation_id"].to_list())
    assert usage.of(KEYS[0] or "").total == 0
    assert usage.of(KEYS[1] or "").total == sum(row.cost_nano for row in rows[1::3])
    decision_log.catch_up(lake)
    assert decision_log.count(lake) == 60
    again = erase(lake, Subject(KEYS[0] or ""), NOW)
    assert again.complete and again.requests == again.files_rewritten == 0


def test_the_requests_of_a_user_are_erased_and_the_others_of_its_key_stay(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    written(lake)
    report = erase(lake, Subject(KEYS[0] or "", ALICE), NOW)
    assert report.complete and report.requests == 10
    assert requests(lake) == {KEYS[0]: 20, KEYS[1]: 30, None: 30}
    with open_mart(lake) as mart:
        assert mart.execute("SELECT count(*) FROM users_hourly WHERE user_hash IS NOT NULL").fetchone() == (0,)


def test_rows_of_marts_whose_requests_are_deleted_are_erased_too(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    written(lake)
    deleted = delete_expired(lake, NOW, RetentionSettings(1))
    assert {path.suffix for path in deleted} == {".parquet"}
    assert decision_log.count(lake) == len(lake_files.listing(lake).files) == 0
    assert requests(lake) == dict.fromkeys(KEYS, 30)
    report = erase(lake, Subject(KEYS[0] or ""), NOW)
    assert report.complete and report.requests == 0 and report.mart_rows > 0
    assert requests(lake) == {KEYS[1]: 30, None: 30}


def test_rows_of_a_user_whose_requests_are_deleted_are_erased_and_those_of_others_stay(tmp_path: Path) -> None:
    def counted() -> tuple[int, ...]:
        with open_mart(lake) as mart:
            row = mart.execute(
                "SELECT (SELECT CAST(sum(requests) AS BIGINT) FROM users_hourly), "
                "CAST(sum(requests) AS BIGINT), CAST(count(DISTINCT session) AS BIGINT) FROM sessions_hourly"
            ).fetchone()
        assert row is not None
        return row

    lake = Lake(tmp_path)
    written(lake)
    assert counted() == (60, COUNT, COUNT)
    delete_expired(lake, NOW, RetentionSettings(1))
    report = erase(lake, Subject(KEYS[0] or "", ALICE), NOW)
    assert report.complete and report.mart_rows > 10
    assert counted() == (50, COUNT - 10, COUNT - 10)


def test_an_interrupted_erasure_is_completed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    written(lake)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("_erase_from_lake", "_erase_from_marts", "build_mart"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(erasure, name, interrupt)
            erase(lake, Subject(KEYS[0] or ""), NOW)
    assert erase(lake, Subject(KEYS[0] or ""), NOW).complete
    assert requests(lake) == {KEYS[1]: 30, None: 30}
    assert decision_log.count(lake) == 60


def test_a_file_that_cannot_be_read_keeps_an_erasure_from_being_called_complete(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    written(lake)
    bad = next(lake.requests.glob("day=*/*.parquet"))
    bad.write_bytes(b"torn")
    report = erase(lake, Subject(KEYS[0] or ""), NOW)
    assert not report.complete and report.unreadable == [str(bad)]


def test_the_command_says_what_was_removed_and_that_nothing_is_left(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    written(lake)
    ran = portolan("erase", "--key", KEYS[0] or "", "--user", "alice", "--data-dir", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert "erased       10 requests of user" in ran.stdout
    assert "left         0 in the lake, 0 in decisions, 0 in marts" in ran.stdout
    next(lake.requests.glob("day=*/*.parquet")).write_bytes(b"torn")
    ran = portolan("erase", "--key", KEYS[0] or "", "--data-dir", str(tmp_path))
    assert ran.returncode == 1 and "unreadable" in ran.stderr and "Traceback" not in ran.stderr


def test_days_are_kept_for_as_long_as_the_setting_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    written(lake)
    first = min(path.name for path in lake.requests.iterdir()).removeprefix("day=")
    day = datetime.strptime(first, "%Y-%m-%d").replace(tzinfo=UTC)
    assert delete_expired(lake, day + timedelta(days=7), RetentionSettings(7)) == []
    monkeypatch.setenv("PORTOLAN_LAKE_DAYS", "7")
    settings = retention_from_environment()
    deleted = delete_expired(lake, day + timedelta(days=8), settings)
    assert {path.parent.name for path in deleted} == {f"day={first}", "decisions"}
    assert sum(requests(lake).values()) == COUNT
    for wrong in ("0", "x", "-1", "1.5"):
        monkeypatch.setenv("PORTOLAN_LAKE_DAYS", wrong)
        with pytest.raises(ValueError, match="whole number of days"):
            retention_from_environment()
