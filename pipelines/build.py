"""From the lake to a published mart: a new DuckDB file, checked, then pointed at. No Dagster here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq

from data.lake import Lake
from data.schema import RECORD_SCHEMA

TABLES = ("usage_hourly", "latency_hourly", "uptime_hourly", "market_share_weekly", "summary")
KEPT_VERSIONS = 3


class CheckFailed(Exception):
    """The mart contradicts its lake and was not published."""


class MartReport(NamedTuple):
    """``rows`` by table; ``requests`` is what the lake held."""

    path: Path
    requests: int
    rows: dict[str, int]


def build_mart(lake: Lake) -> MartReport:
    """Aggregate every sealed request, check, publish. Raises ``CheckFailed`` and leaves the old mart in force."""
    lake.create()
    files = sorted(str(path) for path in lake.requests.glob("day=*/*.parquet"))
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    path = lake.marts / f"marts-{moment}.duckdb"
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    try:
        with duckdb.connect(str(temporary)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            _open_requests(connection, files)
            for table in TABLES:
                connection.execute(f"CREATE TABLE {table} AS {_sql(table)}")
            rows = {table: _number(connection, f"SELECT count(*) FROM {table}") for table in TABLES}
            requests = sum(pq.read_metadata(file).num_rows for file in files)
            check(connection, requests)
            connection.execute("DROP VIEW requests")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    os.replace(temporary, path)
    lake.publish_mart(path)
    for old in sorted(lake.marts.glob("marts-*.duckdb"))[:-KEPT_VERSIONS]:
        old.unlink()
    return MartReport(path, requests, rows)


def check(connection: duckdb.DuckDBPyConnection, requests: int) -> None:
    """What must hold before a mart is shown. Raises ``CheckFailed`` with what does not."""
    wanted = {
        "generation ids are unique": "SELECT count(*) - count(DISTINCT generation_id) FROM requests",
        "the parts of a cost sum to the whole": (
            "SELECT count(*) FROM requests WHERE cost_nano <> "
            "cost_prompt_nano + cost_cached_nano + cost_completion_nano"
        ),
        "usage counts every request": f"SELECT {requests} - coalesce(sum(requests), 0) FROM usage_hourly",
        "the summary counts every request": f"SELECT {requests} - requests FROM summary",
        "no figure is negative": (
            "SELECT count(*) FROM usage_hourly WHERE least(requests, prompt_tokens, completion_tokens, cost_nano) < 0"
        ),
        "shares of a week sum to 1": (
            "SELECT count(*) FROM (SELECT sum(share) AS whole FROM market_share_weekly GROUP BY week) "
            "WHERE abs(whole - 1) > 1e-9"
        ),
    }
    for sentence, sql in wanted.items():
        if _number(connection, sql):
            raise CheckFailed(f"the mart was not published: it does not hold that {sentence}")


def _open_requests(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    if files:
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        connection.execute(f"CREATE VIEW requests AS SELECT * FROM read_parquet([{listed}], hive_partitioning = false)")
        return
    connection.register("no_requests", RECORD_SCHEMA.empty_table())
    connection.execute("CREATE TEMP TABLE empty_requests AS SELECT * FROM no_requests")
    connection.execute("CREATE TEMP VIEW requests AS SELECT * FROM empty_requests")


def _sql(table: str) -> str:
    return resources.files("pipelines").joinpath("sql", f"{table}.sql").read_text()


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0] or 0)
