"""A run for days makes those days again and no others; another run may publish what it has made."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from benchmarks.data.generate import RowGenerator
from data.lake import Lake
from data.marts import open_mart
from pipelines.build import Candidate, build_mart
from pipelines.defs.days import DAYS, first_day
from pipelines.defs.publication import published_mart
from pipelines.defs.resources import LakeResource
from pipelines.defs.tables import marts
from pipelines.marts.catalogue import MARTS
from portolan.stack import DAGSTER
from tests.running import ROOT, environment

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = 20
MIDNIGHT = datetime.fromisoformat(DAYS.get_partition_keys()[0]).replace(hour=0, tzinfo=UTC)


def add_day(lake: Lake, back: int, seed: int = 1) -> str:
    """Write an hour of the day that is ``back`` days before the first of the definitions."""
    hour = MIDNIGHT - timedelta(days=back)
    path = lake.create().requests / f"day={hour:%Y-%m-%d}" / f"w-{back}-{seed}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(RowGenerator(seed).hour(hour, ROWS), path)
    return f"{hour:%Y-%m-%d}"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "data")
    for back in range(4):
        add_day(made, back)
    build_mart(made, MIDNIGHT + timedelta(hours=1))
    return made


def written(lake: Lake) -> dict[str, tuple[int, int]]:
    """Return what identifies the file of each partition, by mart and span."""
    return {
        f"{path.parent.name}/{path.name.rpartition('-')[0]}": (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in lake.marts.glob("*/*.parquet")
    }


def requests_by_day(lake: Lake) -> dict[str, int]:
    with open_mart(lake) as mart:
        rows = mart.execute("SELECT strftime(hour, '%Y-%m-%d'), sum(requests) FROM usage_hourly GROUP BY 1").fetchall()
    return dict(rows)


def test_only_the_files_of_the_days_are_written_again(lake: Lake) -> None:
    day, before, version = f"{MIDNIGHT:%Y-%m-%d}", written(lake), lake.current_mart()
    late = add_day(lake, 2, seed=2)
    candidate = Candidate(lake, "days", MIDNIGHT + timedelta(hours=1))
    seen: list[tuple[int, int]] = []
    built = candidate.build(lambda done, of: seen.append((done, of)), [day])
    after = written(lake)
    assert {name for name in after if after[name] != before.get(name)} == {f"{mart.name}/{day}T00" for mart in MARTS}
    assert [path.parent.name for path in built.opened] == [f"day={day}"]
    assert built.days == [day] and len(seen) > len(MARTS) and seen[-1][0] == seen[-1][1]
    published = Candidate(lake, "another run").publish()
    assert published != version and requests_by_day(lake)[late] == ROWS
    build_mart(lake, MIDNIGHT + timedelta(hours=1))
    assert requests_by_day(lake)[late] == 2 * ROWS


def test_days_that_are_made_one_by_one_make_a_version_together(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "data")
    days = [add_day(lake, back) for back in range(3)]
    for day in days[:2]:
        Candidate(lake, day, MIDNIGHT + timedelta(hours=1)).build(days=[day])
    Candidate(lake, "publication").publish()
    assert requests_by_day(lake) == dict.fromkeys(days[:2], ROWS)


def test_a_day_that_the_lake_no_longer_has_keeps_its_rows(lake: Lake) -> None:
    before = requests_by_day(lake)
    (gone,) = lake.requests.glob(f"day={MIDNIGHT:%Y-%m-%d}/*.parquet")
    gone.unlink()
    candidate = Candidate(lake, "days", MIDNIGHT + timedelta(hours=1))
    candidate.build(days=[f"{MIDNIGHT:%Y-%m-%d}"])
    candidate.publish()
    assert requests_by_day(lake) == before


def test_partitions_begin_with_the_first_day_of_the_lake(lake: Lake) -> None:
    (lake.requests / "day=1970-01-01").mkdir()
    (lake.requests / "day=broken").mkdir()
    assert first_day(lake) == (MIDNIGHT - timedelta(days=3)).date()
    assert first_day(Lake(lake.root / "none")) == datetime.now(UTC).date()


def test_a_run_of_a_partition_makes_it_again_and_a_refresh_shows_the_days_that_it_made(
    lake: Lake, tmp_path: Path
) -> None:
    day, resources = DAYS.get_partition_keys()[0], {"lake": LakeResource(data_dir=str(lake.root))}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        add_day(lake, 1, seed=2)

        def run(partition: str | None, *assets: str) -> None:
            selection = dg.AssetSelection.assets(*assets)
            assert dg.materialize(
                [marts, published_mart],
                instance=instance,
                resources=resources,
                partition_key=partition,
                selection=selection,
            ).success

        run(None, "usage_hourly", "published_mart")
        shown = {f"{MIDNIGHT - timedelta(days=1):%Y-%m-%d}"}
        assert instance.get_materialized_partitions(dg.AssetKey("usage_hourly")) == shown
        run(day, "usage_hourly", "keys_hourly")
        assert instance.get_materialized_partitions(dg.AssetKey("keys_hourly")) == {day}
        assert instance.get_materialized_partitions(dg.AssetKey("usage_hourly")) == {day, *shown}


@pytest.mark.slow
def test_ninety_days_are_one_run_of_a_real_process_that_logs_its_progress(tmp_path: Path) -> None:
    lake, home = Lake(tmp_path / "data"), tmp_path / "home"
    days = sorted(add_day(lake, back) for back in range(90))
    home.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER)
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "pipelines.definitions"]
    command += ["--select", "group:usage", "--partition-range", f"{days[0]}...{days[-1]}"]
    variables = {"DAGSTER_HOME": str(home), "PORTOLAN_DATA_DIR": str(lake.root)}
    ran = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment() | variables, capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert f"90 days from {days[0]} to {days[-1]} are made again" in ran.stderr
    assert ran.stderr.count("partition files are up to date") >= 10
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert len(instance.get_runs()) == 1
        assert instance.get_materialized_partitions(dg.AssetKey("usage_hourly")) == set(days)
    Candidate(lake, "publication").publish()
    assert requests_by_day(lake) == dict.fromkeys(days, ROWS)
