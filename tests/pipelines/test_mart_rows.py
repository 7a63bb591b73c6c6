"""Marts and roll-ups give their golden rows, and what Polars computes from random records in any order of arrival."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from data.record.lake_reader import LAKE_SCHEMA
from pipelines.build import build_mart
from pipelines.marts.catalogue import MARTS
from pipelines.marts.declaration import Mart, MartView
from pipelines.marts.rollups import VIEWS
from tests.pipelines.golden_rows import FOLDER, computed, dump
from tests.pipelines.polars_marts import hourly, rollups
from tests.pipelines.random_records import ROWS, START, finished, write_files

# Their SQL follows attempts in ways that test_marts compares with the router's own judgement, hour by hour.
ELSEWHERE = {"latency_hourly", "uptime_hourly", "summary", "categories_weekly", "quarantine_hourly"}


@pytest.fixture(scope="module")
def golden() -> dict[str, list[dict[str, Any]]]:
    return computed()


@pytest.mark.parametrize("one", [*MARTS, *VIEWS], ids=lambda one: one.name)
def test_the_golden_requests_give_the_golden_rows(
    one: Mart | MartView, golden: dict[str, list[dict[str, Any]]]
) -> None:
    assert one.golden == golden[one.name], "python -m tests.pipelines.golden_rows, and review the difference"


def test_every_golden_file_belongs_to_a_declaration_and_has_rows() -> None:
    names = {one.name for one in (*MARTS, *VIEWS)}
    assert {path.stem for path in FOLDER.glob("*.json")} == {*names, "requests"}
    assert all((FOLDER / f"{name}.json").read_text() != dump([]) for name in names)


@settings(max_examples=10)
@given(ROWS, st.data())
def test_marts_are_what_polars_computes_in_any_order_of_arrival(
    drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    rows = data.draw(st.permutations(finished(drawn)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    now = START
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
            write_files(lake, f"file-{number}", rows[begin:end], old=data.draw(st.booleans()))
            now += timedelta(hours=data.draw(st.sampled_from((0, 1, 30, 900))))
            if data.draw(st.booleans()):
                build_mart(lake, now)
        build_mart(lake, now)
        lake_rows = pl.from_arrow(lake_files.read_all(lake, LAKE_SCHEMA.names))
        assert isinstance(lake_rows, pl.DataFrame)
        expected = hourly(lake_rows)
        expected |= rollups(expected)
        assert expected.keys() == {one.name for one in (*MARTS, *VIEWS)} - ELSEWHERE
        with open_mart(lake) as mart:
            for name, frame in expected.items():
                found = mart.execute(f"SELECT * FROM {name}").fetchall()
                assert sorted(found, key=repr) == sorted(frame.rows(), key=repr), name
