"""Requests wait until their sealed file is in its place, whatever compaction does with it afterwards."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data.lake import COUNTED_IMPORT, Lake
from data.record.lake_files import listing
from pipelines.defs.compaction.compact import CompactionSettings, compact
from pipelines.waits import Waits, waits
from tests.pipelines.test_marts import fill, records


def test_waits_are_from_arrival_to_the_sealed_file_and_to_the_version(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(60)
    first = datetime.fromtimestamp(rows[0].started_at / 1e6, UTC)
    sealed = {}
    for number, (begin, end) in enumerate(((0, 20), (20, 40), (40, 60))):
        before = set(lake.requests.rglob("*.parquet"))
        fill(lake, rows[begin:end])
        (path,) = set(lake.requests.rglob("*.parquet")) - before
        sealed[number] = first + timedelta(days=1, minutes=number)
        os.utime(path, (sealed[number].timestamp(),) * 2)
    published = sealed[2] + timedelta(seconds=30)
    third = datetime.fromtimestamp(rows[40].started_at / 1e6, UTC)
    second = datetime.fromtimestamp(rows[20].started_at / 1e6, UTC)
    expected = Waits(40, pytest.approx((sealed[1] - second).total_seconds()),
                     pytest.approx((published - second).total_seconds()))  # fmt: skip
    # What was sealed at the earlier moment itself counted then.
    assert waits(lake, sealed[0], sealed[2], published) == expected
    assert compact(lake, datetime.now(UTC) + timedelta(days=1), CompactionSettings(0, 0, 1e9)).written
    imported = lake.requests / listing(lake).replaced[0].path.parent.name / f"{COUNTED_IMPORT}1.parquet"
    shutil.copy2(listing(lake).replaced[0].path, imported)
    assert waits(lake, sealed[0], sealed[2], published) == expected
    only = waits(lake, sealed[1], sealed[2], None)
    assert only == Waits(20, pytest.approx((sealed[2] - third).total_seconds()), None)
    assert waits(lake, sealed[2], sealed[2] + timedelta(hours=1), published) == Waits()
