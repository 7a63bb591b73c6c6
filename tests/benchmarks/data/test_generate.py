"""Generated rows are valid records, as large as live ones, and the same for the same seed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.data.generate import RowGenerator, fill_lake, hours
from data.catalogue import load_catalogue
from data.lake import Lake
from data.record import lake_files
from data.record.record import RECORD_SCHEMA

HOUR = datetime(2026, 3, 1, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return RowGenerator(3).hour(HOUR, 2_000)


def test_rows_conform_to_the_declaration(table: pa.Table) -> None:
    table.validate(full=True)
    assert table.schema.equals(RECORD_SCHEMA)
    for field in RECORD_SCHEMA:
        assert field.nullable or table[field.name].null_count == 0, field.name
    assert pc.count_distinct(table["generation_id"]).as_py() == 2_000
    for row in table.select(
        ["cost_nano", "charges", "cost_prompt_nano", "cost_completion_nano", "cost_cached_nano"]
    ).to_pylist():
        cost, charges, *parts = row.values()
        assert cost == sum(parts) == sum(one["nano"] for one in charges)


def test_a_plan_has_every_endpoint_of_its_model(table: pa.Table) -> None:
    endpoints = load_catalogue().endpoints
    for row in table.slice(0, 200).to_pylist():
        eligible = [one for one in row["candidates"] if one["excluded_by"] is None]
        assert len(row["candidates"]) == len(endpoints[row["model"]])
        assert {attempt["endpoint"] for attempt in row["attempts"]} <= {one["endpoint"] for one in eligible}
        assert [len(arm["cumulative"]) for arm in row["arms"]] == [len(eligible)]
        assert sum(one["probability"] for one in row["candidates"]) == pytest.approx(1)


def test_a_seed_gives_the_same_rows_whatever_was_generated_before(table: pa.Table) -> None:
    again = RowGenerator(3)
    again.hour(HOUR.replace(hour=6), 10)
    assert again.hour(HOUR, 2_000).equals(table)
    assert not RowGenerator(4).hour(HOUR, 2_000).equals(table)


def test_a_lake_of_generated_hours_is_read_as_any_other(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    assert fill_lake(lake, hours(500, 30, start=HOUR), files_an_hour=2) == 500
    found = lake_files.listing(lake)
    assert (len(found.files), found.unreadable) == (60, [])
    assert sum(file.rows for file in found.files) == 500
    for file in found.files:
        assert file.first is None or file.last is None or file.first.hour == file.last.hour
