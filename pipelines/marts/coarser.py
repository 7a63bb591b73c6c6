"""Keep the rows of large marts by longer periods too, in a file for each partition file, made when that is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import duckdb
import pyarrow as pa

from data.lake import Lake
from data.marts import COARSER, Period, coarser_view
from data.scratch_database import open_scratch
from pipelines.marts.catalogue import MARTS
from pipelines.marts.declaration import TIME, Mart
from pipelines.marts.encoding import encoded
from pipelines.marts.manifest import Manifest, Partition

MEMORY = "1GB"
# Queries of one model, or of another first dimension, pass over the groups of others.
ROW_GROUP = 64 * 1024
# A file that was made otherwise has another name.
VERSION = 1


def coarser_key(mart: str, period: Period, partition: Partition) -> str:
    """Return the key of the file with the rows of a partition by ``period``.

    A day has the same rows by day, week and month. If it has none by day, those by hour are not many more.
    """
    if _is_day(partition):
        period = "day"
    if _is_hour(partition) or period not in COARSER[mart]:
        return partition.key
    name = partition.key.rpartition("/")[2].removesuffix(".parquet")
    return f"marts/{coarser_view(mart, period)}/{name}-{VERSION}.parquet"


def coarser_keys(manifest: Manifest) -> set[str]:
    """Return the keys of all files that a version has beside its partitions."""
    return {coarser_key(mart.name, period, partition) for mart, period, partition in _all(manifest)}


def make_coarser(lake: Lake, manifest: Manifest) -> int:
    """Write the files of a version that are missing or older than their partition; return their number."""
    made = 0
    with ExitStack() as opened:
        connection: duckdb.DuckDBPyConnection | None = None
        for mart, period, partition in _all(manifest):
            key, source = coarser_key(mart.name, period, partition), _source_key(mart, period, partition)
            if _is_made(lake, key, source):
                continue
            if connection is None:
                connection = opened.enter_context(open_scratch(lake))
                connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = 2")
            table = _rows(connection, mart, period, str(lake.root / source))
            lake.storage.put(key, memoryview(encoded(table, ROW_GROUP)))
            made += 1
    return made


def _is_made(lake: Lake, key: str, source: str) -> bool:
    """Return whether the file of ``key`` has been written since that of ``source`` was.

    A partition is written again under its key when an erasure changes its rows.
    """
    made = lake.root / key
    return made.exists() and made.stat().st_mtime_ns >= (lake.root / source).stat().st_mtime_ns


def _all(manifest: Manifest) -> Iterator[tuple[Mart, Period, Partition]]:
    for mart in MARTS:
        if mart.name in manifest.marts:
            for period in COARSER.get(mart.name, ()):
                for partition in manifest.marts[mart.name].files:
                    if not _is_hour(partition) and (period == "day" or not _is_day(partition)):
                        yield mart, period, partition


def _source_key(mart: Mart, period: Period, partition: Partition) -> str:
    """Return the key of the rows to be summed: those of days, which are fewer, for months."""
    by_day = period == "month" and "day" in COARSER[mart.name]
    return coarser_key(mart.name, "day", partition) if by_day else partition.key


def _is_hour(partition: Partition) -> bool:
    return "T" in partition.span


def _is_day(partition: Partition) -> bool:
    return len(partition.span) == len("2026-11-17")


def _rows(connection: duckdb.DuckDBPyConnection, mart: Mart, period: Period, path: str) -> pa.Table:
    columns = ", ".join(name for name in mart.columns if name != TIME)
    begin = f"make_timestamptz(epoch_us(date_trunc('{period}', make_timestamp(epoch_us({TIME}))))) AS {TIME}"
    merged = mart.merge_sql(f"(SELECT {begin}, {columns} FROM read_parquet($path))")
    order = ", ".join([*(dimension.name for dimension in mart.dimensions), TIME])
    return connection.execute(f"FROM ({merged}) ORDER BY {order}", {"path": path}).to_arrow_table()
