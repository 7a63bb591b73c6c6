"""Requests and files that break a rule are set aside, counted and named; the rest is published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from data.record.charges import Charge
from data.record.record import Record
from pipelines.build import build_mart
from pipelines.definitions import defs
from pipelines.defs.compaction.compact import CompactionSettings, compact
from pipelines.defs.resources import LakeResource
from pipelines.marts.catalogue import QUARANTINE
from pipelines.marts.quarantine import ROW_RULES
from tests.pipelines.test_marts import fill, records

pytestmark = pytest.mark.filterwarnings("ignore")
GOOD = 20
HOUR_US = 3_600_000_000


def rows_of_each_fault() -> dict[str, Record]:
    """Return a request that breaks each rule, by the reason."""
    made = dict(zip([rule.reason for rule in ROW_RULES], records(GOOD + len(ROW_RULES))[GOOD:], strict=True))
    made["without_id"].generation_id = ""
    made["other_hour"] = records(1)[0]
    made["other_hour"].started_at += HOUR_US
    made["negative"].prompt_tokens = -1
    made["cost_parts"].cost_nano += 1
    made["charges"].charges = [Charge("prompt", 1, 1)]
    made["duplicate"] = records(1)[0]
    return made


def set_aside(lake: Lake) -> list[tuple[Any, ...]]:
    with open_mart(lake) as mart:
        return mart.execute("SELECT reason, generation_id, requests FROM quarantine_hourly ORDER BY ALL").fetchall()


def counted(lake: Lake) -> int:
    with open_mart(lake) as mart:
        (row,) = mart.execute("SELECT requests FROM summary").fetchall()
    return int(row[0])


def test_requests_that_break_a_rule_are_set_aside_and_the_rest_is_counted(tmp_path: Path) -> None:
    lake, wrong = Lake(tmp_path), rows_of_each_fault()
    fill(lake, records(GOOD))
    fill(lake, list(wrong.values()))
    build_mart(lake)
    assert set_aside(lake) == sorted((reason, row.generation_id, 1) for reason, row in wrong.items())
    assert counted(lake) == GOOD
    again = build_mart(lake)
    assert (again.opened, again.written) == ([], 0)


@pytest.mark.parametrize("other_first", [True, False])
def test_of_two_requests_with_one_id_the_same_is_counted_in_any_order(tmp_path: Path, other_first: bool) -> None:
    lake, rows = Lake(tmp_path), records(2)
    other = records(1)[0]
    other.model = "openai/other"
    for batch in [[other], rows] if other_first else [rows, [other]]:
        fill(lake, batch)
        build_mart(lake)
    with open_mart(lake) as mart:
        before = mart.execute("SELECT model, requests FROM usage_hourly ORDER BY ALL").fetchall()
    fill(lake, records(3)[2:])
    assert compact(lake, datetime.now(UTC) + timedelta(days=1), CompactionSettings(0, 0, 0)).written == 1
    build_mart(lake)
    with open_mart(lake) as mart:
        models = [model for model, _ in mart.execute("SELECT model, requests FROM usage_hourly").fetchall()]
    assert counted(lake) == 3 and set_aside(lake) == [("duplicate", other.generation_id, 1)]
    assert {model for model, _ in before} == set(models) == {"openai/m"}


@pytest.mark.parametrize("wrong_first", [True, False])
def test_an_id_that_comes_in_files_of_two_hours_counts_once_in_any_order(tmp_path: Path, wrong_first: bool) -> None:
    lake, right, wrong = Lake(tmp_path), records(GOOD), records(1)
    wrong[0].started_at += 3 * HOUR_US
    for number, batch in enumerate([wrong, right] if wrong_first else [right, wrong]):
        fill(lake, batch)
        report = build_mart(lake)
        assert len(report.opened) == 1, f"build {number} opens the files of its hour alone"
    assert counted(lake) == GOOD and set_aside(lake) == [("other_hour", right[0].generation_id, 1)]


def test_ids_of_other_routers_need_not_tell_their_hour(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(2)
    rows[0].generation_id, rows[0].source = "chatcmpl-1", "litellm"
    rows[1].generation_id = "chatcmpl-2"
    fill(lake, rows)
    build_mart(lake)
    assert counted(lake) == 1 and set_aside(lake) == [("other_hour", "chatcmpl-2", 1)]


def test_requests_of_the_future_are_counted_when_their_time_has_come(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(GOOD)
    ahead = datetime.now(UTC) + timedelta(days=2)
    rows[-1].started_at = int(ahead.timestamp() * 1e6)
    rows[-1].generation_id = f"gen-{int(ahead.timestamp())}-ahead"
    fill(lake, rows)
    build_mart(lake)
    assert counted(lake) == GOOD - 1
    build_mart(lake, ahead)
    assert counted(lake) == GOOD


def spread(file: Path) -> None:
    """Let the last request of a file have arrived in 2099."""
    table = pq.read_table(file)
    moments = [*table["started_at"].to_pylist()[:-1], datetime(2099, 1, 1, tzinfo=UTC)]
    place = table.schema.get_field_index("started_at")
    pq.write_table(table.set_column(place, "started_at", pa.array(moments, pa.timestamp("us", "UTC"))), file)


@pytest.mark.parametrize("statistics", [True, False])
def test_a_file_whose_times_are_impossible_is_left_out(tmp_path: Path, statistics: bool) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(2))
    (file,) = lake.requests.glob("*/*.parquet")
    table = pq.read_table(file)
    place = table.schema.get_field_index("started_at")
    moments = pa.array([table["started_at"][0].as_py(), None], pa.timestamp("us", "UTC"))
    pq.write_table(table.set_column(place, "started_at", moments), file, write_statistics=statistics)
    assert "without started_at" in lake_files.listing(lake).unreadable[0].reason
    pq.write_table(table, file)
    spread(file)
    assert "2099-01-01; a file holds those of one day" in lake_files.listing(lake).unreadable[0].reason


def evaluations(lake: Lake) -> dict[str, Any]:
    """Run the job ``refresh`` and return the evaluation of each check by name."""
    job, resources = defs.resolve_job_def("refresh"), {"lake": LakeResource(data_dir=str(lake.root))}
    with dg.DagsterInstance.ephemeral() as instance:
        ran = job.execute_in_process(instance=instance, resources=resources)
    assert ran.success
    return {one.check_name: one for one in ran.get_asset_check_evaluations()}


def test_checks_warn_of_what_is_set_aside_with_samples_and_advice(tmp_path: Path) -> None:
    lake, wrong = Lake(tmp_path), rows_of_each_fault()
    late = records(GOOD)[0]
    late.started_at = int((datetime.now(UTC) + timedelta(days=2)).timestamp() * 1e6)
    late.generation_id = "gen-later"
    fill(lake, records(GOOD))
    fill(lake, [*wrong.values(), late])
    (lake.requests / "day=2026-11-17" / "no.parquet").write_text("no Parquet")
    found = evaluations(lake)
    warned = {name: one for name, one in found.items() if not one.passed}
    assert len(warned) == len(ROW_RULES) + 2
    for one in warned.values():
        assert one.severity == dg.AssetCheckSeverity.WARN and not one.blocking
        assert one.asset_key == dg.AssetKey(QUARANTINE)
        assert one.metadata["samples"].records and one.metadata["what_to_do"].value in one.description
    duplicate = warned["generation_ids_are_unique_within_an_hour"]
    assert duplicate.metadata["requests_set_aside"].value == 1
    (sample,) = duplicate.metadata["samples"].records
    assert sample.data["generation_id"] == wrong["duplicate"].generation_id
    assert found["usage_counts_every_request"].passed
    again = evaluations(lake)
    assert {name for name, one in again.items() if not one.passed} == warned.keys()
    assert "usage_counts_every_request" not in again, "a check that had nothing to check is skipped, not passed"
