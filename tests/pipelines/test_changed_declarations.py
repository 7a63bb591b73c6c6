"""A changed declaration makes rows again from the lake, and keeps those of hours that the lake no longer has."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.marts import open_mart
from pipelines import build
from pipelines.build import Candidate, build_mart
from pipelines.defs import tables
from pipelines.defs.resources import LakeResource
from pipelines.marts import declaration, partitions, publication
from pipelines.marts.catalogue import MARTS
from pipelines.marts.columns import COST, MODEL
from pipelines.marts.declaration import Mart
from pipelines.marts.earlier import KeptHours
from pipelines.marts.publication import remove_old_versions
from tests.pipelines.test_partitions import ROWS, SETTLED, START, add_hour, contents, step

pytestmark = pytest.mark.filterwarnings("ignore")
# The first three are hours of one day, whose requests the lake loses.
HOURS, GONE = 4, 3
NOW = START + timedelta(hours=HOURS)
NAME = "market_hourly"
(MARKET,) = (mart for mart in MARTS if mart.name == NAME)
WITH_COST = MARKET._replace(measures=(*MARKET.measures, COST))
WITH_COST_SQL = MARKET.sql.replace(
    "\nFROM requests", ",\n    CAST(sum(cost_nano) AS BIGINT) AS cost_nano\nFROM requests"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a lake whose marts are published."""
    lake = Lake(tmp_path_factory.mktemp("whole"))
    for number in range(HOURS):
        add_hour(lake, number)
    build_mart(lake, NOW)
    return lake


@pytest.fixture
def lake(whole: Lake, tmp_path: Path) -> Lake:
    """Return such a lake without the requests of the first hours."""
    shutil.copytree(whole.root, tmp_path / "data")
    lake = Lake(tmp_path / "data")
    shutil.rmtree(lake.requests / f"day={START:%Y-%m-%d}")
    return lake


def declare(monkeypatch: pytest.MonkeyPatch, mart: Mart, sql: str | None = None) -> None:
    """Put a declaration in the place of the one with its name."""
    marts = tuple(mart if one.name == mart.name else one for one in MARTS)
    for module in (partitions, build, publication, tables):
        monkeypatch.setattr(module, "MARTS", marts)
    if sql is not None:
        text = declaration._sql_text
        monkeypatch.setattr(declaration, "_sql_text", lambda name: sql if name == mart.name else text(name))


def built(lake: Lake) -> KeptHours:
    """Build and publish; return what the mart has of the hours that the lake no longer has."""
    candidate = Candidate(lake, "test", NOW)
    candidate.begin()
    found = candidate.build()
    candidate.publish()
    assert all(found.kept[mart.name] == KeptHours(0, (), (), ()) for mart in MARTS if mart.name != NAME)
    return found.kept[NAME]


def by_hour(lake: Lake, figure: str) -> list[Any]:
    with open_mart(lake) as mart:
        rows = mart.execute(f"SELECT hour, sum({figure}) FROM {NAME} GROUP BY 1 ORDER BY 1").fetchall()
    return [value for _, value in rows]


def others(lake: Lake) -> dict[str, list[Any]]:
    return {name: rows for name, rows in contents(lake).items() if name != NAME}


def test_a_new_column_is_null_in_hours_that_are_gone_until_the_lake_has_them_again(
    lake: Lake, whole: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, tokens = others(lake), by_hour(lake, "tokens")
    declare(monkeypatch, WITH_COST, WITH_COST_SQL)
    assert built(lake) == KeptHours(GONE, ("cost_nano",), (), ())
    costs = by_hour(lake, "cost_nano")
    assert costs[:GONE] == [None] * GONE and all(costs[GONE:])
    assert by_hour(lake, "tokens") == tokens and others(lake) == before
    assert built(lake) == KeptHours(0, (), (), ()), "nothing is changed by a repetition"
    step(lake, SETTLED)
    assert by_hour(lake, "cost_nano") == costs and by_hour(lake, "tokens") == tokens
    shutil.copytree(whole.requests, lake.requests, dirs_exist_ok=True)
    assert len(build_mart(lake, SETTLED).opened) == GONE
    assert all(by_hour(lake, "cost_nano")) and by_hour(lake, "cost_nano")[GONE:] == costs[GONE:]
    assert others(lake) == before


def test_only_the_mart_that_is_declared_anew_is_computed(whole: Lake, tmp_path: Path, monkeypatch: Any) -> None:
    shutil.copytree(whole.root, tmp_path / "data")
    lake, before = Lake(tmp_path / "data"), contents(whole)
    declare(monkeypatch, WITH_COST, WITH_COST_SQL)
    report, _ = step(lake, NOW)
    assert (len(report.opened), report.written) == (HOURS, HOURS)
    assert {name: rows for name, rows in contents(lake).items() if name != NAME} == {
        name: rows for name, rows in before.items() if name != NAME
    }


def test_rows_of_a_dropped_column_are_joined(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = by_hour(lake, "requests")
    coarse = MARKET._replace(dimensions=(MODEL,), measures=MARKET.measures[1:])
    sql = "SELECT date_trunc('hour', started_at) AS hour, model, CAST(count(*) AS BIGINT) AS requests FROM requests "
    declare(monkeypatch, coarse, sql + "WHERE model IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2")
    # The roll-ups of the market need what is dropped.
    monkeypatch.setattr(publication, "VIEWS", ())
    monkeypatch.setattr(publication, "VIEW_CHECKS", ())
    assert built(lake) == KeptHours(GONE, (), (), ())
    assert by_hour(lake, "requests") == requests == [ROWS] * HOURS
    with open_mart(lake) as mart:
        rows = mart.execute(f"SELECT count(*), count(DISTINCT (hour, model)) FROM {NAME}").fetchone()
    assert rows is not None and rows[0] == rows[1]


def evaluations(lake: Lake) -> dict[str, dg.AssetCheckEvaluation]:
    """Make the marts in Dagster; return the evaluation of each check by its name."""
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"lake": LakeResource(data_dir=str(lake.root))}
        ran = dg.materialize([tables.marts], instance=instance, resources=resources)
        (made,) = ran.asset_materializations_for_node("marts")[slice(*_place(NAME))]
        assert made.metadata["hours_without_rows"].value == GONE
    return {one.check_name: one for one in ran.get_asset_check_evaluations()}


def _place(name: str) -> Iterable[int]:
    place = [mart.name for mart in MARTS].index(name)
    return place, place + 1


def test_longer_texts_of_a_former_declaration_are_shortened(whole: Lake, tmp_path: Path, monkeypatch: Any) -> None:
    (users,) = (mart for mart in MARTS if mart.name == "users_hourly")
    former = users._replace(dimensions=tuple(one._replace(digits=0) for one in users.dimensions))
    lake = Lake(tmp_path / "data").create()
    shutil.copytree(whole.requests, lake.requests, dirs_exist_ok=True)
    with monkeypatch.context() as patched:
        declare(patched, former, users.sql.replace("left(user_hash, 12) AS user_hash", "user_hash"))
        build_mart(lake, NOW)
    before = contents(lake)["users_hourly"]
    shutil.rmtree(lake.requests / f"day={START:%Y-%m-%d}")
    build_mart(lake, NOW)
    assert contents(lake) == contents(whole) and contents(lake)["users_hourly"] != before


def test_hours_whose_rows_mean_something_else_are_left_out_kept_as_files_and_said_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = {path: pq.read_table(path) for path in lake.marts.glob(f"{NAME}/*.parquet")}
    declare(monkeypatch, MARKET._replace(row_version=2))
    (said,) = (one for name, one in evaluations(lake).items() if name.startswith("every_hour"))
    assert not said.passed and f"{GONE} hours are without rows" in (said.description or "")
    (sample,) = said.metadata["samples"].records
    assert sample.data == {"mart": NAME, "hours": "3", "first": "2026-02-27T21", "last": "2026-02-27T23"}
    Candidate(lake, "publication", NOW).publish()
    assert by_hour(lake, "requests") == [ROWS] * (HOURS - GONE)
    assert evaluations(lake)["every_hour_that_was_published_keeps_its_rows"].passed
    Candidate(lake, "publication", NOW).publish()
    remove_old_versions(lake, kept=1, abandoned_s=0)
    assert all(pq.read_table(path) == table for path, table in former.items())


def test_an_hour_whose_only_rows_were_in_a_file_that_is_gone_is_said(lake: Lake, whole: Lake) -> None:
    (lost,) = lake.marts.glob(f"{NAME}/2026-02-27T22-*.parquet")
    lost.unlink()
    assert built(lake).lost == ("2026-02-27T22",)
    assert len(by_hour(lake, "requests")) == HOURS - 1
    assert built(lake).lost == ("2026-02-27T22",), "it is still without rows"
    shutil.copytree(whole.requests, lake.requests, dirs_exist_ok=True)
    assert built(lake).lost == () and by_hour(lake, "requests") == [ROWS] * HOURS


def test_a_changed_roll_up_is_published_although_no_request_is_new(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    version = lake.current_mart()
    build_mart(lake, NOW)
    assert lake.current_mart() == version
    monkeypatch.setattr(build, "ROLLUPS", "other")
    build_mart(lake, NOW)
    assert lake.current_mart() != version
