"""Open the sealed files of a lake whatever record version wrote them, with Arrow or with SQL.

Every reader sees the columns of the current record. A column or a field of a struct that a file lacks is null, one that
the record does not declare is left out, and the order of the files does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import Lake
from data.record.record import RECORD_SCHEMA

if TYPE_CHECKING:
    import pyarrow.dataset as ds

# A column that is never null in new files is null for the rows of files that lack it.
LAKE_SCHEMA: pa.Schema = pa.schema([field.with_nullable(True) for field in RECORD_SCHEMA])

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}


def request_files(lake: Lake, day: str = "*") -> list[Path]:
    """Return the sealed files of one UTC day (``2026-11-17``), or of all days, in order of their names."""
    return sorted(lake.requests.glob(f"day={day}/*.parquet"))


def open_dataset(files: Iterable[Path], schema: pa.Schema = LAKE_SCHEMA) -> ds.Dataset:
    """Open ``files`` with the columns of ``schema``. Reading raises ``pa.ArrowInvalid`` for a damaged file."""
    # It imports pandas where that is installed, which a router that opens no dataset at its start does without.
    import pyarrow.dataset as ds

    names = [str(file) for file in files]
    return ds.dataset(names, schema=schema, format="parquet") if names else ds.dataset(schema.empty_table())


def requests_sql(files: Iterable[Path]) -> str:
    """Return a DuckDB query for the rows of ``files`` with the columns of ``LAKE_SCHEMA``."""
    kinds = [(field.name, _sql_type(field.type)) for field in LAKE_SCHEMA]
    typed_nulls = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in kinds)
    source = f"SELECT {typed_nulls} WHERE false"
    listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    if listed:
        parquet = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        source = f"{source} UNION ALL BY NAME SELECT * FROM {parquet}"
    # The union adds what every file lacks; the cast orders the fields of structs and drops those not declared.
    columns = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in kinds)
    return f"SELECT {columns} FROM ({source})"


def time_range(file: Path) -> tuple[datetime, datetime] | None:
    """Return the first and last ``started_at`` of a file, or ``None`` when it has no rows.

    Raises ``pa.ArrowInvalid`` for a damaged file.
    """
    metadata = pq.read_metadata(file)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(place) for group in groups if group.num_rows for place in range(group.num_columns)]
    found = [column.statistics for column in columns if column.path_in_schema == "started_at"]
    if not found:
        return None
    if all(statistics is not None and statistics.has_min_max for statistics in found):
        return min(statistics.min for statistics in found), max(statistics.max for statistics in found)
    times = pc.min_max(pq.read_table(file, columns=["started_at"])["started_at"])
    return times["min"].as_py(), times["max"].as_py()


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f'"{field.name}" {_sql_type(field.type)}' for field in kind) + ")"
    return _SQL_TYPES[kind]
