"""Build a mart without Dagster: fill a new DuckDB file table by table, check it, then point to it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import NamedTuple, TypeVar

import duckdb

from data.lake import Lake
from data.record import lake_files
from data.record.lake_files import Unreadable
from data.record.lake_reader import requests_sql
from data.storage.local import fsync_folder
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

Result = TypeVar("Result")


class MartReport(NamedTuple):
    """Row counts by table; ``requests`` is the number of requests in the lake when the build began."""

    path: Path
    requests: int
    rows: dict[str, int]


class Candidate:
    """Unpublished mart. ``name`` distinguishes runs that work at the same time.

    Its source files are listed once, so that every table counts the same requests although new ones are sealed
    meanwhile.
    """

    def __init__(self, lake: Lake, name: str) -> None:
        self._lake = lake
        self.path = lake.marts / f"candidate-{name}.tmp"

    def begin(self) -> int:
        """List the sealed files; returns the number of requests in them."""
        self._lake.create()
        self.discard()
        self._discard_abandoned()
        found = lake_files.listing(self._lake)
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("CREATE TABLE sources (file VARCHAR, requests BIGINT)")
            connection.execute("CREATE TABLE unreadable (file VARCHAR, reason VARCHAR)")
            if found.files:
                rows = [(str(file.path), file.rows) for file in found.files]
                connection.executemany("INSERT INTO sources VALUES (?, ?)", rows)
            _note(connection, found.unreadable)
        return sum(file.rows for file in found.files)

    def add(self, table: str) -> int:
        """Aggregate ``pipelines/sql/<table>.sql`` over the listed files; returns the rows made."""
        return self._without_damaged(lambda connection: _fill(connection, table))

    def failures(self, names: Iterable[str] = tuple(CHECKS)) -> list[str]:
        """Return the named checks that fail, each as its sentence."""
        return self._without_damaged(lambda c: [name for name in names if number(c, CHECKS[name])])

    def unreadable(self) -> list[Unreadable]:
        """Return the files that this mart does not count, for they cannot be read."""
        with duckdb.connect(str(self.path)) as connection:
            rows = connection.execute("SELECT file, reason FROM unreadable ORDER BY file").fetchall()
        return [Unreadable(Path(file), reason) for file, reason in rows]

    def publish(self) -> Path:
        """Check and name the mart, then move the pointer. Raises ``CheckFailed``; the old mart then stays published."""
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
        """Delete candidates of runs that died or failed a check; no build takes ``ABANDONED_S``."""
        for path in self._lake.marts.glob("candidate-*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - ABANDONED_S:
                    path.unlink()

    @contextmanager
    def open(self):  # type: ignore[no-untyped-def]
        """Open a connection in which the view ``requests`` has the rows of the listed files."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            _view(connection, _sources(connection))
            yield connection

    def _without_damaged(self, work: Callable[[duckdb.DuckDBPyConnection], Result]) -> Result:
        """Return what ``work`` returns; if a damaged file stops it, leave the file out and do it again."""
        while True:
            try:
                with self.open() as connection:
                    return work(connection)
            except duckdb.Error:
                if not self._leave_out_damaged():
                    raise

    def _leave_out_damaged(self) -> bool:
        """Remove damaged files from the candidate and build its tables again; return whether there were any.

        Every table then counts the same requests.
        """
        with duckdb.connect(str(self.path)) as connection:
            files = [Path(file) for file in _sources(connection)]
        damaged = lake_files.find_damaged(self._lake, files) or _unreadable_to_duckdb(files)
        if not damaged:
            return False
        with duckdb.connect(str(self.path)) as connection:
            connection.executemany("DELETE FROM sources WHERE file = ?", [(str(one.path),) for one in damaged])
            _note(connection, [one for one in damaged if one.reason != lake_files.GONE])
        with self.open() as connection:
            made = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            for table in TABLES:
                if table in made:
                    _fill(connection, table)
        return True


def build_mart(lake: Lake) -> MartReport:
    """Build, check and publish a mart. Raises ``CheckFailed``."""
    candidate = Candidate(lake, str(os.getpid()))
    with exclusive(lake.build_lock):
        try:
            requests = candidate.begin()
            rows = {table: candidate.add(table) for table in TABLES}
            return MartReport(candidate.publish(), requests, rows)
        finally:
            candidate.discard()


def _sources(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [file for (file,) in connection.execute("SELECT file FROM sources ORDER BY file").fetchall()]


def _note(connection: duckdb.DuckDBPyConnection, files: Sequence[Unreadable]) -> None:
    for one in files:
        connection.execute("INSERT INTO unreadable VALUES (?, ?)", [one.name, one.reason])


def _view(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    connection.execute(f"CREATE TEMP VIEW requests AS {requests_sql(map(Path, files))}")


def _fill(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    sql = resources.files("pipelines").joinpath("sql", f"{table}.sql").read_text()
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS {sql}")
    return number(connection, f"SELECT count(*) FROM {table}")


def _unreadable_to_duckdb(files: Sequence[Path]) -> list[Unreadable]:
    """Return the files that Arrow can read and DuckDB cannot; none if DuckDB can read no file at all."""
    found = []
    for path in files:
        # An error of DuckDB may end a database for good: each file has its own.
        with duckdb.connect() as connection:
            try:
                _view(connection, [str(path)])
                connection.execute("SELECT max(hash(COLUMNS(*))) FROM requests").fetchall()
            except duckdb.Error as error:
                found.append(Unreadable(path, " ".join(str(error).split())))
    if len(found) == len(files):
        return []
    for one in found:
        lake_files.log_unreadable(one)
    return found


def number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the single number that ``sql`` selects, 0 for null."""
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0
