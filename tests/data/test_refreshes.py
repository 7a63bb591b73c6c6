"""Refreshes are kept by day, for a month; a torn line costs itself alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from data.lake import Lake
from data.refreshes import KEPT, Refresh, append_refresh, last_refresh, read_refreshes

START = datetime(2026, 11, 17, 23, 59, tzinfo=UTC)


def refresh(minutes: int, **values: object) -> Refresh:
    at = (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    return Refresh(at=at, seconds=2.5, succeeded=True, **values)  # type: ignore[arg-type]


def test_refreshes_are_read_back_by_day_and_a_torn_line_is_skipped(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert last_refresh(lake) is None and read_refreshes(lake, START.date(), START.date()) == []
    made = [refresh(0, listed=True, requests=5, lake_wait_s=2.25), refresh(1, failed=("published_mart",)), refresh(2)]
    for one in made:
        append_refresh(lake, one)
    path = lake.refreshes / "2026-11-18.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "2026-')
    tomorrow = START.date() + timedelta(days=1)
    assert read_refreshes(lake, START.date(), tomorrow) == made
    assert read_refreshes(lake, tomorrow, tomorrow) == made[1:]
    assert last_refresh(lake) == made[2] and last_refresh(lake, listed=True) == made[0]


def test_old_days_are_deleted(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    append_refresh(lake, refresh(0))
    append_refresh(lake, refresh(KEPT // timedelta(minutes=1)))
    assert len(list(lake.refreshes.iterdir())) == 2
    append_refresh(lake, refresh(KEPT // timedelta(minutes=1) + 1440))
    assert [path.stem for path in sorted(lake.refreshes.iterdir())] == ["2026-12-18", "2026-12-19"]
