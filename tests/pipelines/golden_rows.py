"""Compute the marts and roll-ups of the golden requests, as the rows of ``pipelines/golden`` have them.

``python -m tests.pipelines.golden_rows`` writes them anew; review the difference.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa

from data.record.lake_reader import LAKE_SCHEMA
from pipelines.marts.catalogue import MARTS
from pipelines.marts.declaration import golden_rows
from pipelines.marts.plans import with_plans
from pipelines.marts.quarantine import set_aside
from pipelines.marts.rollups import VIEWS
from tests.running import ROOT

FOLDER = ROOT / "pipelines" / "golden"


def golden_requests() -> pa.Table:
    """Return the golden requests with the columns of the lake."""
    rows = golden_rows("requests")
    for row in rows:
        row["started_at"] = datetime.fromisoformat(row["started_at"])
    return pa.Table.from_pylist(rows, schema=LAKE_SCHEMA)


def computed() -> dict[str, list[dict[str, Any]]]:
    """Return the rows by the name of the mart or roll-up, in their total order, with times as text."""
    found: dict[str, list[dict[str, Any]]] = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("golden", golden_requests())
        connection.execute(f"CREATE TABLE requests AS {with_plans('golden')}")
        set_aside(connection)
        for one in (*MARTS, *VIEWS):
            connection.execute(f"CREATE TABLE {one.name} AS {one.sql}")
            result = connection.execute(f"FROM {one.name}")
            names = [column[0] for column in result.description]
            found[one.name] = [
                {name: _text(value) for name, value in zip(names, row, strict=True)} for row in result.fetchall()
            ]
    return found


def _text(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else value


def dump(rows: list[dict[str, Any]]) -> str:
    """Return JSON with a line for each row."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return f"[\n{lines}\n]\n" if rows else "[]\n"


if __name__ == "__main__":
    for name, rows in computed().items():
        (FOLDER / f"{name}.json").write_text(dump(rows))
