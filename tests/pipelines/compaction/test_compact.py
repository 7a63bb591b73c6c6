"""Compaction leaves the rows as they are, in fewer files, however often and wherever it is interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.data.generate import RowGenerator
from data.lake import Lake
from data.record import lake_files
from data.record.lake_reader import LAKE_SCHEMA
from data.record.origin import HourInputs, add_hours, decode_origin
from models.selection.dataset import decision_log
from pipelines.defs.compaction.compact import CompactionSettings, compact
from router_service.telemetry.key_usage import KeyUsageReader
from router_service.telemetry.lookup import find_on_disk
from tests.running import ROOT, environment

DAY = datetime(2026, 3, 1, tzinfo=UTC)
FILES, ROWS = 12, 20
HOURS = 4
AT_ONCE = CompactionSettings(hour_settles_s=0, day_settles_s=0, grace_s=0)
KEPT = CompactionSettings(hour_settles_s=0, day_settles_s=0, grace_s=1e9)


def fill(lake: Lake) -> pa.Table:
    """Write some hours of small sealed files, and return their rows in order of id."""
    generator = RowGenerator(5)
    folder = lake.create().requests / f"day={DAY:%Y-%m-%d}"
    folder.mkdir(parents=True)
    tables = []
    for number in range(HOURS):
        table = generator.hour(DAY + timedelta(hours=number), FILES * ROWS)
        tables.append(table)
        for file in range(FILES):
            pq.write_table(table.slice(file * ROWS, ROWS), folder / f"w-{number:02d}-{file:02d}.parquet")
    return in_order(pa.concat_tables(tables))


def in_order(table: pa.Table) -> pa.Table:
    return table.cast(LAKE_SCHEMA).sort_by("generation_id").combine_chunks()


def rows(lake: Lake) -> pa.Table:
    return in_order(lake_files.read_all(lake, LAKE_SCHEMA.names).replace_schema_metadata(None))


def inputs(lake: Lake) -> dict[str, HourInputs]:
    return add_hours(file.origin.hours for file in lake_files.listing(lake).files)


def same(first: pa.Table, second: pa.Table) -> bool:
    return first.replace_schema_metadata(None).to_pylist() == second.replace_schema_metadata(None).to_pylist()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_hours_are_compacted_when_they_are_over_and_days_when_they_are(lake: Lake) -> None:
    before = fill(lake)
    hashes = inputs(lake)
    future = datetime.now(UTC) + timedelta(days=1)
    report = compact(lake, DAY + timedelta(hours=2, minutes=30), KEPT)
    assert report.written == 0, "files that were written later than now are not settled"
    for file in lake.requests.glob("day=*/*.parquet"):
        os.utime(file, (DAY.timestamp(), DAY.timestamp()))
    report = compact(lake, DAY + timedelta(hours=2, minutes=30), KEPT)
    assert report == (2 * FILES, 2, 0, 2 * FILES * ROWS, 2 * FILES)
    names = [file.path.name[:7] for file in lake_files.listing(lake).files]
    assert names[:2] == ["hour-00", "hour-01"] and len(names) == 2 + 2 * FILES
    assert same(rows(lake), before) and inputs(lake) == hashes
    report = compact(lake, future, AT_ONCE)
    assert (report.read, report.written, report.rows) == (2 + 2 * FILES, 1, len(before))
    assert report.deleted == 4 * FILES + 2
    (only,) = lake.requests.glob("day=*/*.parquet")
    origin = decode_origin(pq.read_metadata(only).metadata)
    assert origin is not None
    assert origin.sources == tuple(f"w-{hour:02d}-{n:02d}.parquet" for hour in range(HOURS) for n in range(FILES))
    assert same(rows(lake), before) and inputs(lake) == hashes
    assert compact(lake, future, AT_ONCE) == (0, 0, 0, 0, 1)


def test_a_run_compacts_so_many_rows_and_leaves_large_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before, hashes = fill(lake), inputs(lake)
    for file in lake.requests.glob("day=*/*.parquet"):
        os.utime(file, (DAY.timestamp(), DAY.timestamp()))
    few, now = KEPT._replace(rows_a_run=1), DAY + timedelta(hours=2, minutes=30)
    assert [compact(lake, now, few).written for _ in range(3)] == [1, 1, 0]
    monkeypatch.setattr("pipelines.defs.compaction.compact.LARGE_BYTES", 1)
    assert compact(lake, datetime.now(UTC) + timedelta(days=1), KEPT).written == 0
    assert same(rows(lake), before) and inputs(lake) == hashes


def test_a_late_file_is_taken_in_and_a_repetition_changes_nothing(lake: Lake) -> None:
    before, future = fill(lake), datetime.now(UTC) + timedelta(days=1)
    compact(lake, future, AT_ONCE)
    (day,) = lake.requests.glob("day=*/*.parquet")
    late = RowGenerator(6).hour(DAY, 7)
    pq.write_table(late, day.with_name("late.parquet"))
    assert len(rows(lake)) == len(before) + 7
    assert compact(lake, future, AT_ONCE)[:4] == (2, 1, 2, len(before) + 7)
    assert same(rows(lake), in_order(pa.concat_tables([before, late.cast(LAKE_SCHEMA)])))
    (day,) = lake.requests.glob("day=*/*.parquet")
    content = day.stat()
    compact(lake, future, AT_ONCE)
    assert day.stat() == content


def test_a_damaged_source_is_left_and_a_damaged_result_gives_way_to_its_sources(lake: Lake) -> None:
    before, future = fill(lake), datetime.now(UTC) + timedelta(days=1)
    bad = sorted(lake.requests.glob("day=*/*.parquet"))[3]
    whole = bad.read_bytes()
    bad.write_bytes(whole[:1000])
    compact(lake, future, KEPT)
    assert len(rows(lake)) == len(before) - ROWS
    bad.write_bytes(whole)
    assert same(rows(lake), before)
    compact(lake, future, KEPT)
    (newest,) = [file.path for file in lake_files.listing(lake).files]
    newest.write_bytes(newest.read_bytes()[:5000])
    assert same(rows(lake), before)
    assert compact(lake, future, AT_ONCE).written == 1
    assert same(rows(lake), before)


def test_every_reader_counts_a_row_once_while_sources_wait_to_be_deleted(lake: Lake) -> None:
    before, future = fill(lake), datetime.now(UTC) + timedelta(days=1)
    decision_log.catch_up(lake)
    usage = KeyUsageReader(lake)
    key = before["key_hash"][0].as_py()
    spent = usage.of(key)
    compact(lake, future, KEPT)
    assert len(list(lake.requests.glob("day=*/*.parquet"))) == HOURS * FILES + 1
    assert usage.of(key) == spent == KeyUsageReader(lake).of(key)
    assert spent.total == sum(row["cost_nano"] for row in before.to_pylist() if row["key_hash"] == key)
    row = before.slice(9, 1).to_pylist()[0]
    found = find_on_disk(lake, row["generation_id"])
    assert found is not None and found["cost_nano"] == row["cost_nano"]
    assert list(decision_log.stale(lake)) == []
    assert decision_log.count(lake) == len(before)


def test_a_listing_opens_only_the_files_that_its_index_does_not_know(lake: Lake) -> None:
    fill(lake)
    assert len(lake_files.listing(lake, remember=True).opened) == HOURS * FILES
    code = (
        "import sys; from data.lake import Lake; from data.record import lake_files\n"
        "found = lake_files.listing(Lake(sys.argv[1])); print(len(found.files), len(found.opened))"
    )
    new = sorted(lake.requests.glob("day=*/*.parquet"))[0]
    pq.write_table(pq.read_table(new), new)
    run = subprocess.run([sys.executable, "-c", code, str(lake.root)], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == [str(HOURS * FILES), "1"], run.stderr


COMPACTOR = """
import sys
from datetime import UTC, datetime, timedelta
from data.lake import Lake
from pipelines.defs.compaction.compact import CompactionSettings, compact
grace = float(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
compact(Lake(sys.argv[1]), datetime.now(UTC) + timedelta(days=1), CompactionSettings(0, 0, grace))
print("done", flush=True)
"""


def killed_often(lake: Lake, kills: int) -> None:
    before, dice = fill(lake), random.Random(3)
    killed, number, most = 0, 0, 0.5
    while killed < kills:
        command = [sys.executable, "-c", COMPACTOR, str(lake.root), str(dice.choice([0, 1e9]))]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        try:
            process.wait(dice.uniform(0.0, most))
            most *= 0.8
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            # Some are to end before they are killed, so that the others are killed at any moment of their work.
            most *= 1.1
        number += 1
        process.stdin.close()
        process.stdout.close()
        assert same(rows(lake), before), f"after kill {number}"
        if len(list(lake.requests.glob("day=*/*.parquet"))) == 1:
            # Done: begin again from small files of the same rows.
            for file in lake.requests.glob("day=*/*.parquet"):
                file.unlink()
            (lake.requests / f"day={DAY:%Y-%m-%d}").rmdir()
            before = fill(lake)
    print(f"{killed} of {number} compactions were killed before their end, the last within {most:.2f} s")
    compact(lake, datetime.now(UTC) + timedelta(days=1), AT_ONCE)
    assert same(rows(lake), before)
    assert [path.suffix for path in lake.requests.glob("day=*/*")] == [".parquet"]
    assert list(lake.requests.glob("day=*/.*")) == []


def test_a_killed_compaction_loses_nothing_and_repeats_nothing(lake: Lake) -> None:
    killed_often(lake, 3)


@pytest.mark.slow
def test_a_hundred_killed_compactions_lose_nothing_and_repeat_nothing(lake: Lake) -> None:
    killed_often(lake, 100)
