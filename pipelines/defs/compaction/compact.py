"""Compact the small files of a closed hour to one and those of a closed day to one, without Dagster.

A compacted file names its sources in its metadata (``data.record.origin``) and is put before they are deleted, so a
crash at any point leaves a lake in which every row is seen once. Its name is derived from its sources: a repeated
compaction writes the same file. The caller holds ``Lake.build_lock``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import Lake
from data.record import lake_files
from data.record.lake_files import LakeFile
from data.record.lake_reader import LAKE_SCHEMA
from data.record.origin import Origin, encode_origin, erased_origin, joined_origin

# A larger file is not made, since an object is put whole from memory.
MAX_FILE_BYTES = 128 * 1024 * 1024
# A file of this size is not written again: to join two would cost more than each reader saves by it.
LARGE_BYTES = 16 * 1024 * 1024
# As many bytes of sealed files, some 130,000 rows, are compacted in about 4 s.
HOUR_FILE_BYTES = 32 * 1024 * 1024
# Rows of a live record with its plan take some 4 kB in memory.
ROW_GROUP_ROWS = 32_768
ORDER = [("started_at", "ascending"), ("generation_id", "ascending")]


class CompactionSettings(NamedTuple):
    """Set when files are compacted and deleted, seconds.

    An hour or a day is compacted when it has been over for ``hour_settles_s`` or ``day_settles_s``; files that come
    later are taken in when they are as old. A replaced file is deleted ``grace_s`` after its replacement was made,
    which must be longer than any reader reads. What is due beyond ``rows_a_run`` is left to the next run, so that no
    run of a large lake takes long.
    """

    hour_settles_s: float = 300.0
    day_settles_s: float = 7200.0
    grace_s: float = 3600.0
    rows_a_run: int = 100_000


class CompactionReport(NamedTuple):
    """Count the files that were read, written and deleted, the rows written, and the files left as they are."""

    read: int
    written: int
    deleted: int
    rows: int
    left: int


class _Batch(NamedTuple):
    name: str
    files: list[LakeFile]


def compact(lake: Lake, now: datetime, settings: CompactionSettings = CompactionSettings()) -> CompactionReport:
    """Compact what is due at ``now`` (UTC), then delete the files that have been replaced for long enough."""
    listed = lake_files.listing(lake, remember=True)
    read = written = rows = 0
    for batch in _due(listed.files, now, settings):
        if rows >= settings.rows_a_run:
            break
        made = _compact(lake, batch)
        if made is not None:
            read, written, rows = read + len(batch.files), written + 1, rows + made.rows
    deleted = len(delete_replaced(lake, now, settings.grace_s))
    return CompactionReport(read, written, deleted, rows, len(listed.files) - read)


def delete_replaced(lake: Lake, now: datetime, grace_s: float) -> list[Path]:
    """Delete the files whose rows another file has had for ``grace_s``; return their paths.

    Every value of the other file is read first: damage that the disk did to it must not cost the rows.
    """
    listed = lake_files.listing(lake)
    made_before = int((now.timestamp() - grace_s) * 1e6)
    deleted: list[Path] = []
    for keeper in listed.files:
        if not keeper.origin.made_at_us or keeper.origin.made_at_us > made_before:
            continue
        sources = set(keeper.origin.sources)
        replaced = [
            one.path
            for one in listed.replaced
            if one.path.parent == keeper.path.parent and sources.issuperset(one.origin.sources)
        ]
        if replaced and not lake_files.find_damaged(lake, [keeper.path]):
            for path in replaced:
                lake.storage.delete(lake.key(path))
            deleted += replaced
    if deleted:
        for day in {path.parent.name.removeprefix("day=") for path in deleted}:
            lake_files.listing(lake, day, remember=True)
    return deleted


class Omission(NamedTuple):
    """Say which rows an erasure leaves out: all but those of ``kept``. ``hours`` are those that had some."""

    kept: pc.Expression
    hours: frozenset[str]


def write_joined(lake: Lake, name: str, files: Sequence[LakeFile], omission: Omission | None = None) -> LakeFile | None:
    """Write the rows of ``files``, of one day, to one file in order of arrival; return ``None`` if none can be read.

    After an omission the file is of the next generation, and the inputs of its hours differ, so that marts are made
    again.
    """
    taken: list[LakeFile] = []
    buffer = pa.BufferOutputStream()
    rows = 0
    with pq.ParquetWriter(buffer, LAKE_SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        for table in _row_groups(_tables(lake, files, omission.kept if omission else None, taken)):
            writer.write_table(_sorted(table), row_group_size=ROW_GROUP_ROWS)
            rows += len(table)
        if not taken:
            return None
        if omission is None and rows != sum(file.rows for file in taken):
            raise RuntimeError(f"{rows} rows were read from {len(taken)} files that hold another number of rows")
        origin = joined_origin([file.origin for file in taken], time.time_ns() // 1000)
        if omission is not None:
            origin = erased_origin(origin, omission.hours)
        writer.add_key_value_metadata(encode_origin(origin))
    path = taken[0].path.parent / f"{name}-{_digest(origin)}.parquet"
    lake.storage.discard_partial(lake.key(path))
    lake.storage.put(lake.key(path), memoryview(buffer.getvalue()))
    return LakeFile(path, rows, taken[0].first, taken[-1].last, origin)


def _compact(lake: Lake, batch: _Batch) -> LakeFile | None:
    return write_joined(lake, batch.name, batch.files)


def _due(files: Sequence[LakeFile], now: datetime, settings: CompactionSettings) -> Iterator[_Batch]:
    days: dict[Path, list[LakeFile]] = {}
    for file in files:
        days.setdefault(file.path.parent, []).append(file)
    for folder, found in days.items():
        try:
            day = datetime.strptime(folder.name, "day=%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            continue
        if now >= day + timedelta(days=1, seconds=settings.day_settles_s):
            yield from _batches("day", _settled(found, now, settings.day_settles_s), MAX_FILE_BYTES)
            continue
        hours: dict[datetime, list[LakeFile]] = {}
        for file in found:
            if file.first is not None:
                hours.setdefault(file.first.replace(minute=0, second=0, microsecond=0), []).append(file)
        for hour, members in sorted(hours.items()):
            if now >= hour + timedelta(hours=1, seconds=settings.hour_settles_s):
                settled = _settled(members, now, settings.hour_settles_s)
                yield from _batches(f"hour-{hour:%H}", settled, HOUR_FILE_BYTES)


def _settled(files: Sequence[LakeFile], now: datetime, seconds: float) -> list[LakeFile]:
    """Return the files that have been there for some time, so that a run of late ones is taken in at once."""
    before = now.timestamp() - seconds
    return [file for file in files if file.origin.made_at_us or file.path.stat().st_mtime <= before]


def _batches(name: str, files: Sequence[LakeFile], most: int) -> Iterator[_Batch]:
    """Yield runs of two files or more, in order of arrival, that make one file of ``most`` bytes at most.

    Files of ``LARGE_BYTES`` are passed over.
    """
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    batch: list[LakeFile] = []
    size = 0
    for file in sorted(files, key=lambda one: (one.first or epoch, one.path.name)):
        added = file.path.stat().st_size
        if added >= LARGE_BYTES:
            continue
        if batch and size + added > most:
            if len(batch) > 1:
                yield _Batch(name, batch)
            batch, size = [], 0
        batch.append(file)
        size += added
    if len(batch) > 1:
        yield _Batch(name, batch)


def _tables(
    lake: Lake, files: Sequence[LakeFile], where: pc.Expression | None, taken: list[LakeFile]
) -> Iterator[pa.Table]:
    """Yield the rows of each file that can be read, and add it to ``taken``."""
    for file in files:
        found = lake_files.read(lake, [file.path], LAKE_SCHEMA.names, where)
        if not found.left_out:
            taken.append(file)
            yield found.table


def _sorted(table: pa.Table) -> pa.Table:
    """Return the table in order of arrival. Files of one worker are in order, and to move their plans takes seconds."""
    moments = table["started_at"].combine_chunks()
    is_sorted = pc.all(pc.less_equal(moments[:-1], moments[1:]), min_count=0).as_py()
    return table if is_sorted else table.sort_by(ORDER)


def _row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables to ones of ``ROW_GROUP_ROWS`` or somewhat more."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _digest(origin: Origin) -> str:
    content: Any = "\n".join([str(origin.generation), *origin.sources])
    return blake2b(content.encode(errors="surrogateescape"), digest_size=8).hexdigest()
