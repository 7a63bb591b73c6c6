"""The lake reader opens files of any version: earlier, later, none, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.lake import Lake
from data.record.encoding import encode_record, to_table
from data.record.lake_reader import LAKE_SCHEMA, open_dataset, request_files, requests_sql, time_range
from tests.data.record.old_lake import new_record


def without(table: pa.Table, column: str, field: str) -> pa.Table:
    """Return ``table`` without one field of the structs in ``column``."""
    kind = table.schema.field(column).type
    fields = [one for one in kind.value_type if one.name != field]
    rows = [
        row and [{name: value for name, value in one.items() if name != field} for one in row]
        for row in table[column].to_pylist()
    ]
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(rows, pa.list_(pa.struct(fields))))


def with_later_field(table: pa.Table) -> pa.Table:
    """Return ``table`` as a later version might write it: a new column, a new field first in each attempt."""
    kind = table.schema.field("attempts").type
    fields = [pa.field("later", pa.string()), *reversed(list(kind.value_type))]
    rows = [[{"later": "x", **one} for one in row] for row in table["attempts"].to_pylist()]
    place = table.column_names.index("attempts")
    table = table.set_column(place, "attempts", pa.array(rows, pa.list_(pa.struct(fields))))
    return table.add_column(0, "later", pa.array([1] * len(table)))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return files of four versions, with one row each: their ids end in 0 to 3."""
    tables = [to_table([encode_record(new_record(number))]) for number in range(4)]
    tables[1] = without(tables[1].drop_columns(["country", "charges", "arms"]), "attempts", "step")
    tables[2] = with_later_field(tables[2])
    names = reversed(tables[3].column_names)
    narrow = tables[3].schema.get_field_index("duration_us")
    tables[3] = tables[3].set_column(narrow, "duration_us", tables[3]["duration_us"].cast(pa.int32())).select(names)
    paths = [tmp_path / f"{number}.parquet" for number in range(4)]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path)
    return paths


def sql_rows(files: Sequence[Path]) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT * FROM ({requests_sql(files)}) ORDER BY generation_id").to_arrow_table()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_files_of_four_versions_are_read_in_every_order(files: list[Path], order: tuple[int, ...]) -> None:
    ordered = [files[number] for number in order]
    found = open_dataset(ordered).to_table().sort_by("generation_id")
    assert found.schema.equals(LAKE_SCHEMA)
    rows = found.to_pylist()
    assert [row["generation_id"][-1] for row in rows] == ["0", "1", "2", "3"]
    assert [row["country"] for row in rows] == ["DE", None, "DE", "DE"]
    assert [row["charges"] and row["charges"][1]["nano"] for row in rows] == [0, None, 2, 3]
    assert [row["attempts"][0]["step"] for row in rows] == [1, None, 1, 1]
    assert [row["attempts"][0]["ttft_us"] for row in rows] == [100_000] * 4
    assert sql_rows(ordered).cast(LAKE_SCHEMA).to_pylist() == rows


@pytest.mark.parametrize("number", range(4))
def test_each_version_is_read_alone(files: list[Path], number: int) -> None:
    (row,) = open_dataset([files[number]]).to_table().to_pylist()
    assert sql_rows([files[number]]).cast(LAKE_SCHEMA).to_pylist() == [row]


def test_no_file_has_no_rows_and_every_column(tmp_path: Path) -> None:
    assert request_files(Lake(tmp_path)) == []
    assert open_dataset([]).to_table().schema.equals(LAKE_SCHEMA)
    assert sql_rows([]).cast(LAKE_SCHEMA).num_rows == 0


def test_a_file_without_rows_is_read(tmp_path: Path, files: list[Path]) -> None:
    pq.write_table(LAKE_SCHEMA.empty_table(), tmp_path / "empty.parquet")
    for order in ([tmp_path / "empty.parquet", files[0]], [files[0], tmp_path / "empty.parquet"]):
        assert len(sql_rows(order)) == open_dataset(order).count_rows() == 1
    assert time_range(tmp_path / "empty.parquet") is None


def test_a_quote_in_a_path_is_no_end_of_a_string(tmp_path: Path, files: list[Path]) -> None:
    moved = files[0].rename(tmp_path / "it's.parquet")
    assert len(sql_rows([moved])) == 1


def test_the_time_range_is_found_without_statistics(tmp_path: Path) -> None:
    table = to_table([encode_record(new_record(number)) for number in (2, 0, 1)])
    pq.write_table(table, tmp_path / "plain.parquet", write_statistics=False, row_group_size=2)
    pq.write_table(table, tmp_path / "usual.parquet", row_group_size=2)
    assert time_range(tmp_path / "plain.parquet") == time_range(tmp_path / "usual.parquet")
    found = time_range(tmp_path / "plain.parquet")
    assert found is not None
    assert (found[1] - found[0]).total_seconds() == 2


def test_the_time_range_is_found_wherever_its_column_stands(files: list[Path]) -> None:
    for number, file in enumerate(files):
        found = time_range(file)
        assert found is not None
        assert found[0] == found[1]
        assert found[0].timestamp() * 1e6 == new_record(number).started_at


def test_files_of_one_day_are_chosen_by_their_folder(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    for day in ("2026-11-16", "2026-11-17"):
        (lake.requests / f"day={day}").mkdir()
        (lake.requests / f"day={day}" / "a.parquet").touch()
    assert [path.parent.name for path in request_files(lake)] == ["day=2026-11-16", "day=2026-11-17"]
    assert [path.parent.name for path in request_files(lake, "2026-11-17")] == ["day=2026-11-17"]
