"""Make the partition files of the marts from the hours of the lake whose input changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake import Lake
from data.record import lake_files
from data.record.lake_files import LakeFile
from data.record.lake_reader import requests_sql
from data.record.origin import moment_of
from data.scratch_database import open_scratch
from pipelines.marts.catalogue import MART_CHECKS, MARTS
from pipelines.marts.declaration import TIME, Mart, MartCheck, record_columns
from pipelines.marts.manifest import Manifest, MartPartitions, Partition
from pipelines.marts.quarantine import ROW_RULES, set_aside
from pipelines.marts.spans import Span

# Rows that are aggregated at once: they and their attempts take some 250 MB.
BATCH_ROWS = 400_000
MEMORY = "1GB"
FRESH = "fresh_hours"


# Called with the number of partition files that are up to date, and of all.
Progress = Callable[[int, int], None]


def ignore_progress(done: int, of: int) -> None:
    """Report nothing."""


class CheckFailed(Exception):
    """Raised when rows contradict a check; nothing is published then.

    ``failed`` has the number of contradictions by the sentence of the check.
    """

    def __init__(self, failed: Mapping[str, int]) -> None:
        sentences = "; ".join(f"{sentence} ({number} contradictions)" for sentence, number in failed.items())
        super().__init__(f"the mart was not published, for this does not hold: {sentences}")
        self.failed = dict(failed)


class MartWork(NamedTuple):
    """Count what was done for one mart: partitions written and left as they are, rows written, seconds."""

    written: int
    skipped: int
    rows: int
    seconds: float


class PartitionBuild(NamedTuple):
    """Hold the files of all marts, what was done for each, and the lake files and rows that were read.

    ``checked`` is false if no rows were made, so that no check had anything to check. ``days`` are those of the hours
    that were read.
    """

    marts: dict[str, MartPartitions]
    work: dict[str, MartWork]
    opened: list[Path]
    requests: int
    checked: bool
    days: list[str]


class _Written(NamedTuple):
    partition: Partition
    is_new: bool


class PartitionBuilder:
    """Make the partitions of a plan that do not exist. A partition that exists is never written again."""

    def __init__(self, lake: Lake, before: Manifest, files: Sequence[LakeFile]) -> None:
        self._lake, self._files = lake, files
        self._before = {name: {one.span: one for one in made.files} for name, made in before.marts.items()}
        self._seconds = dict.fromkeys((mart.name for mart in MARTS), 0.0)
        self._keys: dict[tuple[str, str], str] = {}
        self._opened: list[Path] = []
        self._requests = 0
        self._checked = False
        self._days: set[str] = set()

    def build(self, spans: Sequence[Span], progress: Progress) -> PartitionBuild:
        """Return the files of every span. Raises ``CheckFailed``, and ``duckdb.Error`` for a file that is damaged."""
        found: dict[str, list[_Written]] = {mart.name: [] for mart in MARTS}
        total = len(spans) * len(MARTS)

        def report() -> None:
            progress(sum(map(len, found.values())), total)

        for batch in self._batches(spans):
            missing = [span for span in batch if span.again or not all(self._existing(mart, span) for mart in MARTS)]
            if missing:
                self._make(missing, found, report)
            for span in batch:
                if span not in missing:
                    for mart in MARTS:
                        partition = self._existing(mart, span)
                        assert partition is not None
                        found[mart.name].append(_Written(partition, False))
            report()
        marts = {
            mart.name: MartPartitions(
                fingerprint=mart.fingerprint,
                files=tuple(sorted((one.partition for one in found[mart.name]), key=lambda one: one.span)),
            )
            for mart in MARTS
        }
        work = {name: _work(made, self._seconds[name]) for name, made in found.items()}
        return PartitionBuild(marts, work, self._opened, self._requests, self._checked, sorted(self._days))

    def _batches(self, spans: Sequence[Span]) -> Iterator[list[Span]]:
        """Yield spans whose fresh hours have some ``BATCH_ROWS`` requests together."""
        weights: dict[str, int] = {}
        for file in self._files:
            for hour in file.origin.hours:
                weights[hour] = weights.get(hour, 0) + file.rows // len(file.origin.hours)
        batch: list[Span] = []
        size = 0
        for span in spans:
            added = sum(weights.get(hour, 0) for hour in span.fresh)
            if batch and size + added > BATCH_ROWS:
                yield batch
                batch, size = [], 0
            batch.append(span)
            size += added
        if batch:
            yield batch

    def _key(self, mart: Mart, span: Span) -> str:
        """Return the key of a span's file, which is long to compute for a month."""
        place = (mart.name, span.name)
        if place not in self._keys:
            self._keys[place] = span.key(mart)
        return self._keys[place]

    def _existing(self, mart: Mart, span: Span) -> Partition | None:
        """Return the file of a span if it is there, also when no version names it: a run that died has made it."""
        key = self._key(mart, span)
        path = self._lake.root / key
        known = self._before.get(mart.name, {}).get(span.name)
        try:
            size = path.stat().st_size
            if known is not None and known.key == key and known.bytes == size:
                return known
            rows = pq.read_metadata(path).num_rows
        except lake_files.FAULTS:
            return None
        return Partition(key=key, span=span.name, rows=rows, bytes=size)

    def _make(self, spans: Sequence[Span], found: dict[str, list[_Written]], report: Callable[[], None]) -> None:
        fresh = self._hours_to_read(spans)
        self._days.update(hour[:10] for hour in fresh)
        with open_scratch(self._lake) as connection:
            connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 2")
            moments = pa.array([moment_of(hour) for hour in sorted(fresh)], pa.timestamp("us", "UTC"))
            connection.register("moments", pa.table({TIME: moments}))
            # A list of thousands of hours within a query would be slow to plan.
            connection.execute(f"CREATE TEMP TABLE {FRESH} AS SELECT {TIME} FROM moments")
            self._load(connection, fresh)
            for mart in MARTS:
                begun = time.perf_counter()
                connection.execute(f"CREATE TEMP TABLE {mart.name} AS {mart.sql}")
                self._seconds[mart.name] += time.perf_counter() - begun
            judge(connection, MART_CHECKS)
            self._checked = True
            for mart in MARTS:
                begun = time.perf_counter()
                for span in spans:
                    found[mart.name].append(self._write(connection, mart, span, fresh))
                self._seconds[mart.name] += time.perf_counter() - begun
                report()

    def _hours_to_read(self, spans: Sequence[Span]) -> set[str]:
        """Return the hours that no earlier partition has, or one that is gone."""
        fresh = {hour for span in spans for hour in span.fresh}
        held = {hour for file in self._files for hour in file.origin.hours}
        for span in spans:
            for hour in span.inputs.keys() - fresh:
                if hour in held and not all(self._earlier(mart, hour) for mart in MARTS):
                    fresh.add(hour)
        return fresh

    def _earlier(self, mart: Mart, hour: str) -> Path | None:
        """Return the partition of the published version that has the rows of ``hour``."""
        known = self._before.get(mart.name, {})
        found = next((known[name] for name in (hour, hour[:10], hour[:7]) if name in known), None)
        path = self._lake.root / found.key if found is not None else None
        return path if path is not None and path.exists() else None

    def _load(self, connection: duckdb.DuckDBPyConnection, hours: set[str]) -> None:
        """Create the table ``requests`` of the given hours, with the columns that marts, rules and checks name.

        Rows that break a rule are moved to the table ``quarantined``.
        """
        files = [file for file in self._files if not hours.isdisjoint(file.origin.hours)]
        self._opened += [file.path for file in files]
        named = [*(check.sql for check in MART_CHECKS), *(rule.wrong for rule in ROW_RULES)]
        columns = {"started_at", "generation_id"}.union(*(mart.inputs for mart in MARTS), *map(record_columns, named))
        listed = ", ".join(f'"{name}"' for name in sorted(columns))
        begin, end = (moment_of(chosen(hours, default="1970-01-01T00")) for chosen in (min, max))
        arrived = f"started_at >= '{begin}' AND started_at < '{end + timedelta(hours=1)}'"
        connection.execute(
            f"CREATE TEMP TABLE requests AS SELECT {listed} FROM ({requests_sql(file.path for file in files)}) "
            f"WHERE {arrived} AND date_trunc('hour', started_at) IN (FROM {FRESH})"
        )
        self._requests += number(connection, "SELECT count(*) FROM requests")
        set_aside(connection)

    def _write(self, connection: duckdb.DuckDBPyConnection, mart: Mart, span: Span, fresh: set[str]) -> _Written:
        """Write the rows of a span: those just made, and those of earlier partitions for its other hours."""
        if not span.again and (existing := self._existing(mart, span)) is not None:
            return _Written(existing, False)
        names = ", ".join(mart.columns)
        first, last = moment_of(min(span.inputs)), moment_of(max(span.inputs))
        # Spans do not overlap: between the first and the last hour of one there are its own alone.
        parts = [f"SELECT {names} FROM {mart.name} WHERE {TIME} BETWEEN '{first}' AND '{last}'"]
        kept: dict[Path, list[str]] = {}
        for hour in sorted(span.inputs.keys() - fresh):
            if (path := self._earlier(mart, hour)) is not None:
                kept.setdefault(path, []).append(hour)
        for path, held in kept.items():
            listed = ", ".join(f"'{moment_of(hour)}'::TIMESTAMPTZ" for hour in held)
            name = str(path).replace("'", "''")
            parts.append(f"SELECT {names} FROM read_parquet('{name}') WHERE {TIME} IN ({listed})")
        table = connection.sql(mart.merge_sql(f"({' UNION ALL '.join(parts)})")).to_arrow_table()
        return _Written(self._put(mart, span, table), True)

    def _put(self, mart: Mart, span: Span, table: pa.Table) -> Partition:
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        key, content = self._key(mart, span), buffer.getvalue()
        self._lake.storage.put(key, memoryview(content))
        return Partition(key=key, span=span.name, rows=len(table), bytes=content.size)


def judge(connection: duckdb.DuckDBPyConnection, checks: Iterable[MartCheck]) -> None:
    """Evaluate ``checks``. Raises ``CheckFailed``."""
    counts = {check.sentence: number(connection, check.sql) for check in checks}
    if failed := {sentence: count for sentence, count in counts.items() if count}:
        raise CheckFailed(failed)


def number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the single number that ``sql`` selects, 0 for null."""
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0


def _work(made: Sequence[_Written], seconds: float) -> MartWork:
    new = [one.partition for one in made if one.is_new]
    return MartWork(len(new), len(made) - len(new), sum(one.rows for one in new), round(seconds, 3))
