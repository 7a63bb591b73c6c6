"""Make the partition files of the marts from the hours of the lake whose input changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake import Lake
from data.record import lake_files
from data.record.lake_files import LakeFile
from data.record.lake_reader import requests_sql
from data.record.origin import moment_of
from data.scratch_database import open_scratch
from pipelines.marts.catalogue import MART_CHECKS, MARTS
from pipelines.marts.checking import judge, number
from pipelines.marts.declaration import TIME, Mart, MartCheck, record_columns
from pipelines.marts.earlier import EarlierPartitions, KeptHours
from pipelines.marts.encoding import encoded
from pipelines.marts.manifest import Manifest, MartPartitions, Partition
from pipelines.marts.plans import PLAN_COLUMNS, names_plan, with_plans
from pipelines.marts.quarantine import DUPLICATES_ORDER, ROW_RULES, set_aside
from pipelines.marts.spans import Span

# Rows that are aggregated at once: they and their attempts take some 250 MB.
BATCH_ROWS = 400_000
MEMORY = "1GB"
FRESH = "fresh_hours"
COMPUTED = {
    # DuckDB truncates a time without a zone five times as fast, which each mart does for each request.
    "started_at": "make_timestamp(epoch_us(started_at)) AS started_at",
}


# Called with the number of partition files that are up to date, and of all.
Progress = Callable[[int, int], None]


def ignore_progress(done: int, of: int) -> None:
    """Report nothing."""


class MartWork(NamedTuple):
    """Count what was done for one mart: partitions written and left as they are, rows written, seconds."""

    written: int
    skipped: int
    rows: int
    seconds: float


class PartitionBuild(NamedTuple):
    """Hold the files of all marts, what was done for each, and the lake files and rows that were read.

    ``checked`` are the sentences of the checks that had something to check. ``days`` are those of the hours that were
    read. ``kept`` says by mart what it has of hours that the lake no longer has.
    """

    marts: dict[str, MartPartitions]
    work: dict[str, MartWork]
    opened: list[Path]
    requests: int
    checked: frozenset[str]
    days: list[str]
    kept: dict[str, KeptHours]


class _Written(NamedTuple):
    partition: Partition
    is_new: bool


class PartitionBuilder:
    """Make the partitions of a plan that do not exist. A partition that exists is never written again."""

    def __init__(self, lake: Lake, before: Manifest, files: Sequence[LakeFile]) -> None:
        self._lake, self._files = lake, files
        self._earlier = EarlierPartitions(lake, before)
        self._seconds = dict.fromkeys((mart.name for mart in MARTS), 0.0)
        self._keys: dict[tuple[str, str], str] = {}
        self._opened: list[Path] = []
        self._requests = 0
        self._checked: set[str] = set()
        self._days: set[str] = set()

    def build(self, spans: Sequence[Span], progress: Progress) -> PartitionBuild:
        """Return the files of every span. Raises ``CheckFailed``, and ``duckdb.Error`` for a file that is damaged."""
        found: dict[str, list[_Written]] = {mart.name: [] for mart in MARTS}
        total = len(spans) * len(MARTS)
        # Before anything is written, so that a build that follows a killed one says the same.
        kept = {mart.name: self._kept(mart, spans) for mart in MARTS}

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
                row_version=mart.row_version,
                files=tuple(sorted((one.partition for one in found[mart.name]), key=lambda one: one.span)),
                lost=kept[mart.name].lost,
                former=kept[mart.name].former,
            )
            for mart in MARTS
        }
        work = {name: _work(made, self._seconds[name]) for name, made in found.items()}
        checked, days = frozenset(self._checked), sorted(self._days)
        return PartitionBuild(marts, work, self._opened, self._requests, checked, days, kept)

    def _kept(self, mart: Mart, spans: Sequence[Span]) -> KeptHours:
        """Return what a mart has of the hours that the lake no longer has."""
        spans = [span for span in spans if span.gone]
        unmade = {hour for span in spans if self._existing(mart, span) is None for hour in span.gone}
        return self._earlier.kept(mart, frozenset().union(*(span.gone for span in spans)), unmade)

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
        known = self._earlier.of_span(mart, span.name)
        try:
            size = path.stat().st_size
            if known is not None and known.key == key and known.bytes == size:
                return known
            rows = pq.read_metadata(path).num_rows
        except lake_files.FAULTS:
            return None
        return Partition(key=key, span=span.name, rows=rows, bytes=size)

    def _make(self, spans: Sequence[Span], found: dict[str, list[_Written]], report: Callable[[], None]) -> None:
        wanted = [mart for mart in MARTS if any(one.again or self._existing(mart, one) is None for one in spans)]
        passed_over = {check for mart in MARTS if mart not in wanted for check in mart.checks}
        checks = [check for check in MART_CHECKS if check not in passed_over]
        fresh = self._hours_to_read(spans)
        self._days.update(hour[:10] for hour in fresh)
        with open_scratch(self._lake) as connection:
            connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 1")
            moments = pa.array([moment_of(hour).replace(tzinfo=None) for hour in sorted(fresh)], pa.timestamp("us"))
            connection.register("moments", pa.table({TIME: moments}))
            # A list of thousands of hours within a query would be slow to plan.
            connection.execute(f"CREATE TEMP TABLE {FRESH} AS SELECT {TIME} FROM moments")
            self._load(connection, fresh, wanted, checks)
            for mart in wanted:
                begun = time.perf_counter()
                connection.execute(f"CREATE TEMP TABLE {mart.name} AS {mart.sql}")
                self._seconds[mart.name] += time.perf_counter() - begun
            judge(connection, checks)
            self._checked.update(check.sentence for check in checks)
            for mart in MARTS:
                begun = time.perf_counter()
                found[mart.name] += self._write(connection, mart, spans, fresh)
                self._seconds[mart.name] += time.perf_counter() - begun
                report()

    def _hours_to_read(self, spans: Sequence[Span]) -> set[str]:
        """Return the hours that no earlier partition has, or one that is gone."""
        fresh = {hour for span in spans for hour in span.fresh}
        for span in spans:
            for hour in span.inputs.keys() - fresh - span.gone:
                if not all(self._earlier.of_hour(mart, hour) for mart in MARTS):
                    fresh.add(hour)
        return fresh

    def _load(
        self,
        connection: duckdb.DuckDBPyConnection,
        hours: set[str],
        marts: Sequence[Mart],
        checks: Sequence[MartCheck],
    ) -> None:
        """Create the table ``requests`` of the given hours, with the columns that marts, rules and checks name.

        Rows that break a rule are moved to the table ``quarantined``.
        """
        files = [file for file in self._files if not hours.isdisjoint(file.origin.hours)]
        self._opened += [file.path for file in files]
        named = [*(check.sql for check in checks), *(rule.wrong for rule in ROW_RULES)]
        # Rows are read with the figures of their plans instead of with their plans.
        columns = {"generation_id", *DUPLICATES_ORDER}.union(
            *(record_columns(mart.sql) for mart in marts), *map(record_columns, named)
        )
        listed = [COMPUTED.get(name, f'"{name}"') for name in sorted(columns)]
        logged = f"({requests_sql(file.path for file in files)})"
        if any(names_plan(mart.sql) for mart in marts):
            logged = f"({with_plans(logged)})"
            listed += PLAN_COLUMNS
        begin, end = (moment_of(chosen(hours, default="1970-01-01T00")) for chosen in (min, max))
        arrived = f"logged.started_at >= '{begin}' AND logged.started_at < '{end + timedelta(hours=1)}'"
        connection.execute(
            f"CREATE TEMP TABLE requests AS FROM (SELECT {', '.join(listed)} FROM {logged} AS logged WHERE {arrived}) "
            f"WHERE date_trunc('hour', started_at) IN (FROM {FRESH})"
        )
        self._requests += number(connection, "SELECT count(*) FROM requests")
        set_aside(connection)
        connection.execute(
            "CREATE TEMP TABLE requests_by_hour AS "
            "SELECT date_trunc('hour', started_at) AS hour, count(*) AS logged FROM requests GROUP BY 1"
        )

    def _write(
        self, connection: duckdb.DuckDBPyConnection, mart: Mart, spans: Sequence[Span], fresh: set[str]
    ) -> Iterator[_Written]:
        """Write the rows of each span: those just made, and those of earlier partitions for its other hours."""
        made: pa.Table | None = None
        names = ", ".join(mart.columns)
        for span in spans:
            if not span.again and (existing := self._existing(mart, span)) is not None:
                yield _Written(existing, False)
                continue
            if made is None:
                made = _in_utc(connection.sql(f"SELECT {names} FROM {mart.name}").to_arrow_table())
            table = _between(made, moment_of(min(span.inputs)), moment_of(max(span.inputs)))
            if earlier := self._earlier.rows_sql(mart, sorted(span.inputs.keys() - fresh)):
                connection.register("made", table)
                rows = " UNION ALL ".join([f"SELECT {names} FROM made", *earlier])
                table = _in_utc(connection.sql(mart.merge_sql(f"({rows})")).to_arrow_table())
                connection.unregister("made")
            yield _Written(self._put(mart, span, table), True)

    def _put(self, mart: Mart, span: Span, table: pa.Table) -> Partition:
        key, content = self._key(mart, span), encoded(table)
        self._lake.storage.put(key, memoryview(content))
        return Partition(key=key, span=span.name, rows=len(table), bytes=content.size)


def _between(table: pa.Table, first: datetime, last: datetime) -> pa.Table:
    """Return the rows from the hour ``first`` to the hour ``last`` of a table in the order of its hours.

    Spans do not overlap: between the first and the last hour of one there are its own alone.
    """
    hours = table[TIME].to_numpy()
    begin, end = (np.datetime64(one.replace(tzinfo=None), "us") for one in (first, last))
    place = int(np.searchsorted(hours, begin))
    return table.slice(place, int(np.searchsorted(hours, end, side="right")) - place)


def _in_utc(table: pa.Table) -> pa.Table:
    """Return the table with its times in UTC, as which those without a zone are meant."""
    kinds = [pa.timestamp("us", "UTC") if pa.types.is_timestamp(one.type) else one.type for one in table.schema]
    return table.cast(pa.schema(list(zip(table.schema.names, kinds, strict=True))))


def _work(made: Sequence[_Written], seconds: float) -> MartWork:
    new = [one.partition for one in made if one.is_new]
    return MartWork(len(new), len(made) - len(new), sum(one.rows for one in new), round(seconds, 3))
