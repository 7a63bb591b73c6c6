"""A lake of record version 1 is read, served and refreshed, with rows of the current version beside it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from data.record.columns import declared_columns
from data.record.lake_reader import open_dataset, request_files, requests_sql
from data.record.record import Record
from models.selection.dataset import decision_log
from pipelines.build import build_mart
from pipelines.refresh import refresh
from portolan.why_report import report
from router_service.telemetry.sealing import recover
from tests.conftest import open_stack
from tests.data.record.old_lake import KEY, SEALED, UNSEALED, add_file, new_record, unpack, unsealed_rows

NEW_COLUMNS = [column.name for column in declared_columns(Record) if column.column.since > 1]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return unpack(tmp_path / "data")


def test_version_1_has_the_columns_that_are_declared_for_it(lake: Lake) -> None:
    declared = {column.name: column for column in declared_columns(Record) if column.column.since == 1}
    for file in request_files(lake):
        found = pq.read_schema(file)
        assert set(found.names) == set(declared)
        for name, column in declared.items():
            assert found.field(name).nullable == column.nullable, name
            if name != "attempts":
                assert found.field(name).type == column.arrow, name


def test_columns_that_version_1_lacks_are_null(lake: Lake) -> None:
    table = open_dataset(request_files(lake)).to_table()
    assert len(table) == SEALED
    assert [name for name in NEW_COLUMNS if table[name].null_count != SEALED] == []
    assert {attempt["step"] for row in table["attempts"].to_pylist() for attempt in row} == {None}
    assert {attempt["reason"] for row in table["attempts"].to_pylist() for attempt in row} > {"sampled"}


@pytest.mark.parametrize("name", ["a-before-all-others", "z-after-all-others"])
def test_a_mart_reads_a_newer_column_whichever_file_comes_first(lake: Lake, name: str) -> None:
    add_file(lake, name, [new_record(number) for number in range(5)])
    files = [file.path for file in lake_files.listing(lake).files]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW requests AS {requests_sql(files)}")
        connection.execute(
            "CREATE TABLE by_country AS SELECT country, count(*) AS requests, sum(list_sum([c.nano FOR c IN charges])) "
            "AS nano, max(attempts[1].step) AS step FROM requests GROUP BY country"
        )
        found = connection.execute("SELECT * FROM by_country ORDER BY country NULLS LAST").fetchall()
    assert found == [("DE", 5, 5 * 7 + 10, 1), (None, SEALED, None, None)]


@pytest.mark.parametrize("first", ["old", "new"])
def test_arrow_and_sql_read_the_same_rows_in_both_orders(lake: Lake, first: str) -> None:
    old = request_files(lake)
    new = add_file(lake, "new", [new_record(number) for number in range(5)])
    files = [*old, new] if first == "old" else [new, *old]
    arrow = open_dataset(files).to_table().sort_by("generation_id")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        sql = connection.execute(f"{requests_sql(files)} ORDER BY generation_id").to_arrow_table()
    assert len(arrow) == SEALED + 5
    assert sql.cast(arrow.schema).to_pylist() == arrow.to_pylist()


def test_segments_of_version_1_are_sealed_with_all_they_say(lake: Lake) -> None:
    expected = unsealed_rows(lake)
    assert len(expected) == UNSEALED
    (sealed,) = recover(lake)
    assert (sealed.rows, sealed.lost_bytes, sealed.quarantined) == (UNSEALED, 0, 0)
    rows = open_dataset(request_files(lake)).to_table()
    rows = rows.set_column(rows.column_names.index("started_at"), "started_at", rows["started_at"].cast(pa.int64()))
    found = {row["generation_id"]: row for row in rows.to_pylist()}
    for wanted in expected:
        row = found[wanted["generation_id"]]
        for attempt in row["attempts"]:
            assert attempt.pop("step") == 0
        assert {name: row[name] for name in wanted} == wanted
        assert (row["schema_version"], row["task"], row["skin"], row["charges"]) == (1, "chat", "chat", None)


@pytest.mark.filterwarnings("ignore")
def test_it_is_served(lake: Lake) -> None:
    unsealed = unsealed_rows(lake)
    sealed = open_dataset(request_files(lake)).to_table().to_pylist()
    cost = sum(row["cost_nano"] for row in (*sealed, *unsealed))
    with open_stack(lake.root) as stack:
        with httpx2.Client(base_url=stack.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
            for row in (sealed[0], sealed[-2], unsealed[0]):
                answer = client.get("/api/v1/generation", params={"id": row["generation_id"]})
                assert answer.status_code == 200, answer.text
                assert answer.json()["data"]["total_cost"] == row["cost_nano"] / 1e9
                answer = client.get("/api/v1/generation/explain", params={"id": row["generation_id"]})
                assert answer.json()["data"]["replay"]["agrees"] is True, answer.text
            assert client.get("/api/v1/key").json()["data"]["usage"] == cost / 1e9
            body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "hello"}]}
            spent = client.post("/api/v1/chat/completions", json=body).json()["usage"]["cost"]
            assert client.get("/api/v1/key").json()["data"]["usage"] == pytest.approx(cost / 1e9 + spent)
    for row in (sealed[0], unsealed[0]):
        lines = report(str(row["generation_id"]), lake.root)
        assert lines is not None
        assert "agrees" in "\n".join(lines)


# Dagster and skl2onnx warn of their own old calls.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a-before-all-others", "z-after-all-others"])
def test_it_is_refreshed(lake: Lake, name: str) -> None:
    with open_mart(lake) as mart:
        assert mart.execute("SELECT sum(requests) FROM usage_hourly").fetchone() == (SEALED,)
    decided = decision_log.count(lake)
    before = decision_log.read(lake)["generation_id"].to_list()
    assert len(before) == decided > 0
    recover(lake)
    add_file(lake, name, [new_record(number) for number in range(5)])
    refreshed = refresh(lake.root, lambda _: None)
    assert refreshed.succeeded, refreshed.failed
    with open_mart(lake) as mart:
        assert mart.execute("SELECT sum(requests) FROM usage_hourly").fetchone() == (SEALED + UNSEALED + 5,)
    decisions = decision_log.read(lake)
    assert set(before) < set(decisions["generation_id"])
    steps = [attempt["step"] for row in decisions["attempts"].to_list() for attempt in row]
    assert (steps.count(1), steps.count(0) > 0, steps.count(None) > 0) == (5, True, True)


def test_building_twice_gives_the_same_rows(lake: Lake) -> None:
    add_file(lake, "new", [new_record(number) for number in range(5)])
    assert build_mart(lake).rows == build_mart(lake).rows
