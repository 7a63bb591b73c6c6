"""A refresh opens and writes only the partitions whose input changed, and marts equal what Polars computes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from benchmarks.data.generate import RowGenerator
from data.lake import Lake
from data.marts import COARSER, coarser_view, open_mart, open_marts
from data.record import lake_files
from data.record.lake_reader import LAKE_SCHEMA
from pipelines.build import MartReport, build_mart
from pipelines.defs.compaction.compact import CompactionSettings, compact
from pipelines.marts.catalogue import MARTS, QUARANTINE
from pipelines.marts.declaration import MAX_DIMENSIONS
from pipelines.marts.documentation import page
from pipelines.marts.manifest import read_manifest
from pipelines.marts.publication import remove_old_versions
from pipelines.marts.rollups import VIEWS
from tests.pipelines.polars_marts import hourly
from tests.running import ROOT, environment

START = datetime(2026, 2, 27, 21, tzinfo=UTC)
HOURS = 30
ROWS = 40
SETTLED = START + timedelta(days=40)


def add_hour(lake: Lake, number: int, seed: int = 1, rows: int = ROWS) -> Path:
    """Write one hour of rows as a sealed file."""
    hour = START + timedelta(hours=number)
    path = lake.create().requests / f"day={hour:%Y-%m-%d}" / f"{hour:%Y%m%dT%H}-{seed}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(RowGenerator(seed).hour(hour, rows), path)
    return path


def partition_files(lake: Lake) -> set[Path]:
    return set(lake.marts.glob("*_hourly/*.parquet"))


def coarser_files(lake: Lake) -> set[Path]:
    return set(lake.marts.glob("*/*.parquet")) - partition_files(lake)


def step(lake: Lake, now: datetime) -> tuple[MartReport, set[str]]:
    """Build, and return the names of the spans that were written."""
    before = partition_files(lake)
    report = build_mart(lake, now)
    new = partition_files(lake) - before
    assert report.written == len(new)
    return report, {path.name.rpartition("-")[0] for path in new}


def contents(lake: Lake) -> dict[str, list[Any]]:
    with open_mart(lake) as mart:
        tables = [one.name for one in (*MARTS, *VIEWS)]
        return {name: sorted(mart.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("filled"))
    for number in range(HOURS):
        add_hour(lake, number)
    build_mart(lake, START + timedelta(hours=HOURS))
    return lake


@pytest.fixture
def lake(filled: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(filled.root, tmp_path / "data")
    return Lake(tmp_path / "data")


def test_an_hour_opens_its_files_and_writes_its_partitions_and_a_repetition_writes_nothing(lake: Lake) -> None:
    now = START + timedelta(hours=HOURS + 1)
    new = add_hour(lake, HOURS)
    listed = lake_files.listing(lake, remember=True)
    assert new in listed.opened
    report, spans = step(lake, now)
    assert (report.opened, spans) == ([new], {"2026-03-01T03"})
    assert report.written == len(MARTS)
    again, none = step(lake, now)
    assert (again.opened, again.written, none) == ([], 0, set())
    assert again.path == report.path


def test_a_version_says_what_each_mart_consists_of_also_beside_another(lake: Lake, tmp_path: Path) -> None:
    other = Lake(tmp_path / "other")
    build_mart(other)
    made = {name: one.files for name, one in read_manifest(lake).marts.items()}
    with open_mart(lake) as mart:
        found = {row[0]: row[1:] for row in mart.execute("SELECT * EXCLUDE (description) FROM mart_files").fetchall()}
    assert found.keys() == {mart.name for mart in MARTS}
    for name, (files, rows, size, newest, written_at) in found.items():
        assert (files, rows, size) == (len(made[name]), sum(one.rows for one in made[name]),
                                       sum(one.bytes for one in made[name]))  # fmt: skip
        assert newest == max((one.span for one in made[name] if one.rows), default=None)
        assert written_at.replace(tzinfo=UTC).timestamp() == int(
            max((lake.root / one.key).stat().st_mtime for one in made[name])
        )
    (other.requests / "day=2026-02-27").mkdir()
    (other.requests / "day=2026-02-27" / "bad.parquet").write_bytes(b"no Parquet")
    build_mart(other)
    with open_marts([lake, other]) as mart:
        assert mart.execute("SELECT count(*) FROM mart_files").fetchone() == (2 * len(MARTS),)
        ((file, reason),) = mart.execute("SELECT file, reason FROM unreadable").fetchall()
    assert file.endswith("bad.parquet") and reason


def test_late_rows_open_their_partition_again_and_no_other(lake: Lake) -> None:
    now = START + timedelta(hours=HOURS)
    late = add_hour(lake, 5, seed=2)
    report, spans = step(lake, now)
    same_hour = late.with_name(late.name.replace("-2.", "-1."))
    assert (set(report.opened), spans) == ({late, same_hour}, {"2026-02"})
    assert report.requests == (HOURS + 1) * ROWS
    with open_mart(lake) as mart:
        hours = mart.execute("SELECT hour, sum(requests) FROM usage_hourly GROUP BY 1 ORDER BY 1").fetchall()
    assert [count for _, count in hours] == [2 * ROWS if number == 5 else ROWS for number in range(HOURS)]


def test_hours_become_days_and_days_months_without_reading_the_lake(lake: Lake) -> None:
    before = contents(lake)
    made = {one.span for one in read_manifest(lake).marts["usage_hourly"].files}
    assert made == {"2026-02", "2026-03-01T00", "2026-03-01T01", "2026-03-01T02"}
    report, spans = step(lake, START + timedelta(days=3))
    assert (report.opened, spans) == ([], {"2026-03-01"})
    report, spans = step(lake, SETTLED)
    assert (report.opened, spans) == ([], {"2026-03"})
    assert contents(lake) == before


def test_compaction_makes_no_partition_again(lake: Lake) -> None:
    before, now = contents(lake), START + timedelta(hours=HOURS)
    future = datetime.now(UTC) + timedelta(days=1)
    assert compact(lake, future, CompactionSettings(0, 0, 0)).written == 3
    report, spans = step(lake, now)
    assert (report.opened, report.written, spans) == ([], 0, set())
    late = add_hour(lake, 5, seed=2)
    report, _ = step(lake, now)
    assert late in report.opened and len(report.opened) == 2
    assert contents(lake)["summary"][0][0] == before["summary"][0][0] + ROWS


def test_rows_that_the_lake_no_longer_has_stay_in_the_marts(lake: Lake) -> None:
    before, now = contents(lake), START + timedelta(hours=HOURS)
    for file in lake.requests.glob("day=2026-02-2*/*.parquet"):
        file.unlink()
    report, _ = step(lake, now)
    assert (report.opened, report.written) == ([], 0)
    step(lake, SETTLED)
    assert contents(lake) == before


def test_a_partition_that_is_gone_is_made_again(lake: Lake) -> None:
    before, now = contents(lake), START + timedelta(hours=HOURS)
    (lost,) = lake.marts.glob("usage_hourly/2026-03-01T01-*.parquet")
    lost.unlink()
    report, spans = step(lake, now)
    assert (len(report.opened), spans) == (1, {"2026-03-01T01"})
    assert contents(lake) == before


def test_a_version_is_read_wherever_the_folder_lies_and_old_ones_are_removed(lake: Lake, tmp_path: Path) -> None:
    before = contents(lake)
    moved = Lake(lake.root.rename(tmp_path / "it's, moved"))
    assert contents(moved) == before
    for number in range(6):
        add_hour(moved, HOURS + number)
        build_mart(moved, START + timedelta(hours=HOURS + 6))
    assert len(list(moved.marts.glob("marts-*.duckdb"))) == len(list(moved.marts.glob("marts-*.json"))) == 3
    build_mart(moved, SETTLED)
    remove_old_versions(moved, kept=1, abandoned_s=0)
    assert {path.name[:7] for path in partition_files(moved)} == {"2026-02", "2026-03"}
    assert len(partition_files(moved)) == 2 * len(MARTS)
    assert len(coarser_files(moved)) == 2 * sum(map(len, COARSER.values()))


def assert_sums_by_period(lake: Lake) -> None:
    """Assert that the rows by longer periods sum to those by the hour."""
    with open_mart(lake) as mart:
        for name, periods in COARSER.items():
            (one,) = (one for one in MARTS if one.name == name)
            for period in periods:
                sums = []
                for source in (name, coarser_view(name, period)):
                    by_period = f"SELECT date_trunc('{period}', hour) AS hour, * EXCLUDE (hour) FROM {source}"
                    sums.append(mart.execute(one.merge_sql(f"({by_period})")).fetchall())
                assert sums[0] == sums[1] != [], (name, period)


def test_a_day_of_a_running_month_has_rows_by_day_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for number in range(5):
        add_hour(lake, number)
    build_mart(lake, START + timedelta(hours=6))
    assert {path.name[:11] for path in partition_files(lake)} == {"2026-02-27-", "2026-02-28T"}
    assert {path.parent.name for path in coarser_files(lake)} == {
        coarser_view(name, "day") for name, periods in COARSER.items() if "day" in periods
    }
    assert_sums_by_period(lake)


def test_rows_by_longer_periods_sum_to_those_of_the_hours_and_follow_their_partition(lake: Lake) -> None:
    build_mart(lake, SETTLED)
    made = {path: path.stat().st_mtime_ns for path in coarser_files(lake)}
    assert {path.name[:7] for path in made} == {"2026-02", "2026-03"}
    (again,) = (lake.root / one.key for one in read_manifest(lake).marts["users_hourly"].files if one.span == "2026-03")
    os.utime(again)
    add_hour(lake, 3, seed=2)
    build_mart(lake, SETTLED)
    changed = {path for path, moment in made.items() if path.stat().st_mtime_ns != moment}
    assert changed == set(lake.marts.glob(f"users_[wm]*/{again.stem}-*.parquet")) and len(changed) == 2
    assert_sums_by_period(lake)


@pytest.mark.parametrize("seed", range(2))
def test_any_order_of_arrival_gives_the_rows_of_one_build_and_of_polars(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    arrivals = [(number, file) for number in range(8) for file in (1, 2)]
    dice.shuffle(arrivals)
    piecewise, at_once = Lake(tmp_path / "piecewise"), Lake(tmp_path / "at_once")
    now = START
    for number, file in arrivals:
        add_hour(piecewise, number, seed=file * 10 + seed)
        add_hour(at_once, number, seed=file * 10 + seed)
        now += timedelta(hours=dice.randrange(8))
        if dice.random() < 0.5:
            build_mart(piecewise, now)
        if dice.random() < 0.3:
            compact(piecewise, datetime.now(UTC) + timedelta(days=1), CompactionSettings(0, 0, dice.choice([0, 1e9])))
    build_mart(piecewise, now)
    build_mart(at_once, SETTLED)
    found = contents(piecewise)
    assert found == contents(at_once)
    frame = pl.from_arrow(lake_files.read_all(at_once, LAKE_SCHEMA.names))
    assert isinstance(frame, pl.DataFrame)
    for name, expected in computed_by_polars(frame).items():
        assert found[name] == sorted(expected.rows(), key=repr), name


def computed_by_polars(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return marts as Polars computes them from the rows, in the columns' order."""
    made = hourly(frame)
    frame = frame.with_columns(pl.col("started_at").dt.truncate("1h").alias("hour"))
    tried = frame.select("hour", "attempts").explode("attempts").unnest("attempts")
    tried = tried.filter(pl.col("error_type").is_not_null() | pl.col("ttft_us").is_not_null())
    uptime = tried.group_by("hour", "model", "provider", "endpoint").agg(
        pl.len().cast(pl.Int64).alias("attempts"),
        pl.col("error_type").is_null().sum().cast(pl.Int64).alias("succeeded"),
        (pl.col("error_type") == "rate_limit_exceeded").sum().cast(pl.Int64).alias("rate_limited"),
        pl.col("error_type").is_in(["timeout", "provider_unavailable"]).sum().cast(pl.Int64).alias("failed"),
    )
    return {name: made[name] for name in ("usage_hourly", "market_hourly")} | {"uptime_hourly": uptime}


def test_a_declaration_agrees_with_its_sql(lake: Lake) -> None:
    with open_mart(lake) as mart:
        for one in MARTS:
            assert len(one.dimensions) <= MAX_DIMENSIONS
            columns = mart.execute(f"SELECT column_name, column_type FROM (DESCRIBE {one.name})").fetchall()
            assert dict(columns) == one.columns, one.name
            keys = ", ".join(one.keys)
            rows = mart.execute(f"SELECT count(*), count(DISTINCT ({keys})) FROM {one.name}").fetchone()
            assert rows is not None and rows[0] == rows[1], one.name
            assert rows[0] > 0 or one.name == QUARANTINE, one.name


def test_the_rows_of_each_file_have_a_total_order(lake: Lake) -> None:
    add_hour(lake, 5, seed=2)
    build_mart(lake, START + timedelta(days=3))
    for one in MARTS:
        for path in lake.marts.glob(f"{one.name}/*.parquet"):
            rows = [[(value is None, value) for value in row.values()] for row in _keys(path, one.keys)]
            assert rows == sorted(rows), path


def _keys(path: Path, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return list(pq.read_table(path, columns=list(names)).to_pylist())


BUILDER = """
import sys
from datetime import datetime
from data.lake import Lake
from pipelines.build import build_mart
print("ready", flush=True)
sys.stdin.readline()
build_mart(Lake(sys.argv[1]), datetime.fromisoformat(sys.argv[2]))
print("done", flush=True)
"""


def killed_often(lake: Lake, kills: int) -> None:
    dice, killed, number, most = random.Random(5), 0, 0, 0.5
    while killed < kills:
        hour = HOURS + number
        add_hour(lake, hour)
        add_hour(lake, dice.randrange(hour), seed=100 + number)
        now = START + timedelta(hours=hour + 1)
        process = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(lake.root), now.isoformat()],
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
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
        with open_mart(lake) as mart:
            (published,) = mart.execute("SELECT requests FROM summary").fetchall()
            (counted,) = mart.execute("SELECT sum(requests) FROM usage_hourly").fetchall()
        assert published == counted
    print(f"{killed} of {number} builds were killed before their end, the last within {most:.2f} s")
    build_mart(lake, now)
    whole = Lake(lake.root.with_name("whole"))
    shutil.copytree(lake.requests, whole.requests)
    build_mart(whole, SETTLED + timedelta(days=30))
    assert contents(lake) == contents(whole)
    assert list(lake.marts.rglob(".*")) == []


def test_a_killed_build_is_repaired_by_the_next(lake: Lake) -> None:
    killed_often(lake, 3)


@pytest.mark.slow
def test_a_hundred_killed_builds_are_repaired_by_the_next(lake: Lake) -> None:
    killed_often(lake, 100)


def test_the_page_is_the_one_that_the_declarations_give() -> None:
    assert (ROOT / "docs/marts.md").read_text() == page(), "python -m pipelines.marts.documentation > docs/marts.md"
