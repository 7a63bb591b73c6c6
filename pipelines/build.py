"""A mart in the making: a new DuckDB file, filled table by table, checked, then pointed at. No Dagster here."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq

from data.lake import Lake, fsync_folder
from data.record.lake_reader import request_files, requests_sql
from pipelines.checks import CHECKS, CheckFailed
from pipelines.locks import exclusive

TABLES = (
    "usage_hourly",
    "latency_hourly",
    "uptime_hourly",
    "market_share_weekly",
    "categories_weekly",
    "summary",
)
KEPT_VERSIONS = 3
ABANDONED_S = 3600.0


class MartReport(NamedTuple):
    """``rows`` by table; ``requests`` is what the lake held when the candidate was begun."""

    path: Path
    requests: int
    rows: dict[str, int]


class Candidate:
    """An unpublished mart. ``name`` tells runs apart that work at the same time.

    The files that it stands on are listed once, so that every table counts the same requests
    although new ones are sealed meanwhile.
    """

    def __init__(self, lake: Lake, name: str) -> None:
        self._lake = lake
        self.path = lake.marts / f"candidate-{name}.tmp"

    def begin(self) -> int:
        """List the sealed files; returns the number of requests in them."""
        self._lake.create()
        self.discard()
        self._discard_abandoned()
        rows = [(str(file), pq.read_metadata(file).num_rows) for file in request_files(self._lake)]
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("CREATE TABLE sources (file VARCHAR, requests BIGINT)")
            if rows:
                connection.executemany("INSERT INTO sources VALUES (?, ?)", rows)
        return sum(count for _, count in rows)

    def add(self, table: str) -> int:
        """Aggregate ``pipelines/sql/<table>.sql`` over the listed files; returns the rows made."""
        sql = resources.files("pipelines").joinpath("sql", f"{table}.sql").read_text()
        with self.open() as connection:
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS {sql}")
            return number(connection, f"SELECT count(*) FROM {table}")

    def failures(self, names: Iterable[str] = tuple(CHECKS)) -> list[str]:
        """Of the named checks, the sentences that do not hold."""
        with self.open() as connection:
            return [name for name in names if number(connection, CHECKS[name])]

    def publish(self) -> Path:
        """Check, name, and move the pointer. Raises ``CheckFailed``, the old mart then stays in force."""
        failed = self.failures()
        if failed:
            self.discard()
            raise CheckFailed(f"the mart was not published, for this does not hold: {'; '.join(failed)}")
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        target = self._lake.marts / f"marts-{moment}.duckdb"
        os.replace(self.path, target)
        fsync_folder(self._lake.marts)
        self._lake.publish_mart(target)
        for old in sorted(self._lake.marts.glob("marts-*.duckdb"))[:-KEPT_VERSIONS]:
            old.unlink()
        return target

    def discard(self) -> None:
        """Remove the candidate if it is still there."""
        self.path.unlink(missing_ok=True)

    def _discard_abandoned(self) -> None:
        """Candidates of runs that died or failed a check; none takes ``ABANDONED_S`` to build."""
        for path in self._lake.marts.glob("candidate-*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - ABANDONED_S:
                    path.unlink()

    @contextmanager
    def open(self):  # type: ignore[no-untyped-def]
        """A connection in which ``requests`` are the listed files' rows."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            files = [Path(file) for (file,) in connection.execute("SELECT file FROM sources ORDER BY file").fetchall()]
            connection.execute(f"CREATE TEMP VIEW requests AS {requests_sql(files)}")
            yield connection


def build_mart(lake: Lake) -> MartReport:
    """All of it at once. Raises ``CheckFailed``."""
    candidate = Candidate(lake, str(os.getpid()))
    with exclusive(lake.build_lock):
        try:
            requests = candidate.begin()
            rows = {table: candidate.add(table) for table in TABLES}
            return MartReport(candidate.publish(), requests, rows)
        finally:
            candidate.discard()


def number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The one figure that ``sql`` gives, 0 for null."""
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0
