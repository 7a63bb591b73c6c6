"""Seal finished segments: convert each to Parquet exactly once, even after a crash.

The Parquet file is named after its segment, so sealing a segment again overwrites the file with the same rows.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake import Lake
from data.record import lake_files
from data.record.encoding import decode_record, records_table
from data.record.lake_index import read_index
from data.record.record import Record
from data.storage.local import fsync_folder
from router_service.telemetry.frames import frame, read_frames
from router_service.telemetry.late_labels import set_labels, split_late_labels

logger = logging.getLogger(__name__)
ABANDONED_S = 60.0
INDEX_S = 30.0
# More at once leave the processor's cache, and cost half as much again for each.
ROWS_AT_ONCE = 1024
DAY_US = 86_400_000_000
EPOCH = date(1970, 1, 1)


class SealReport(NamedTuple):
    """Result of sealing. ``lost_bytes`` is a torn tail; ``quarantined`` counts intact frames that hold no record.

    ``days`` (UTC, ``2026-11-17``) are those whose rows it had.
    """

    segment: str
    rows: int
    lost_bytes: int
    quarantined: int
    days: tuple[str, ...] = ()


def seal(lake: Lake, segment: Path) -> SealReport | None:
    """Convert ``segment`` to Parquet. Returns ``None`` while its writer lives or another process seals it."""
    with _locked(segment) as free:
        if not free:
            return None
        content = segment.read_bytes()
        payloads, lost_bytes = read_frames(content)
        if segment.suffix == ".reserve":
            # The writer died before it used the reserve, or before it truncated the unused part.
            lost_bytes = len(content[len(content) - lost_bytes :].rstrip(b"\0"))
        tables, strange = _by_day(payloads)
        for day, table in tables.items():
            _write_parquet(lake, lake.requests / f"day={day}" / f"{segment.stem}.parquet", table)
        if strange:
            _quarantine(lake, segment, strange)
        segment.unlink()
        fsync_folder(lake.log)
        if segment.suffix == ".reserve" and not payloads:
            return None
    if lost_bytes:
        logger.warning("segment %s ended in %d unreadable bytes", segment.name, lost_bytes)
    rows = sum(table.num_rows for table in tables.values())
    return SealReport(segment.name, rows, lost_bytes, len(strange), tuple(tables))


def recover(lake: Lake) -> list[SealReport]:
    """Seal every segment that no living process writes."""
    _discard_unnamed(lake)
    segments = sorted(path for kind in ("*.wal", "*.open", "*.reserve") for path in lake.log.glob(kind))
    return [report for segment in segments if (report := seal(lake, segment)) is not None]


class SealedFiles:
    """Keep the index of the footers complete, so that a look-up of one record opens few files of a day.

    One worker makes 8,640 files a day. Earlier days that lack entries, such as those of a lake that was copied without
    its index, get them one after the other, the latest first.
    """

    def __init__(self, lake: Lake, clock: Callable[[], float] = time.monotonic) -> None:
        self._lake = lake
        self._clock = clock
        self._days: set[str] = set()
        self._earlier = sorted(folder.name.removeprefix("day=") for folder in lake.requests.glob("day=*"))
        self._due_s = 0.0

    def add(self, reports: Iterable[SealReport]) -> None:
        """Note what was sealed; each ``INDEX_S`` write it to the index, else one earlier day. Raises ``OSError``."""
        self._days.update(day for report in reports for day in report.days)
        if self._days and self._clock() >= self._due_s:
            self._due_s = self._clock() + INDEX_S
            while self._days:
                lake_files.listing(self._lake, self._days.pop(), remember=True)
        elif self._earlier:
            day = self._earlier.pop()
            folder = self._lake.requests / f"day={day}"
            if {path.name for path in folder.glob("*.parquet")} - read_index(self._lake, folder.name).keys():
                lake_files.listing(self._lake, day, remember=True)


def _discard_unnamed(lake: Lake) -> None:
    """Remove segments whose writer died before it gave them their name; no record is in them."""
    for path in lake.log.glob("*.new"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - ABANDONED_S:
                path.unlink()


def _by_day(payloads: list[bytes]) -> tuple[dict[str, pa.Table], list[bytes]]:
    """Return a table for each UTC day, and the payloads that are neither records nor their late labels."""
    payloads, late = split_late_labels(payloads)
    days: dict[str, list[pa.Table]] = {}
    strange: list[bytes] = []
    for first in range(0, len(payloads), ROWS_AT_ONCE):
        rows: dict[int, list[tuple[bytes, Record]]] = {}
        for payload in payloads[first : first + ROWS_AT_ONCE]:
            try:
                record = decode_record(payload)
            except (msgspec.DecodeError, ValueError):
                strange.append(payload)
            else:
                if record.generation_id in late:
                    set_labels(record, late[record.generation_id])
                rows.setdefault(record.started_at // DAY_US, []).append((payload, record))
        for number, found in rows.items():
            day = _day(number)
            if day is None:
                strange += [payload for payload, _ in found]
                continue
            table, refused = _fitting(found)
            strange += refused
            if table is not None:
                days.setdefault(day, []).append(table)
    return {day: pa.concat_tables(tables) for day, tables in days.items()}, strange


def _fitting(rows: list[tuple[bytes, Record]]) -> tuple[pa.Table | None, list[bytes]]:
    """Return a table of the records that fit its schema, and the payloads of the others."""
    table = _table([record for _, record in rows])
    if table is not None:
        return table, []
    # One bad record must not lose the segment, so each record is tried alone.
    fits = [_table([record]) is not None for _, record in rows]
    kept = [record for (_, record), fit in zip(rows, fits, strict=True) if fit]
    return (_table(kept) if kept else None), [payload for (payload, _), fit in zip(rows, fits, strict=True) if not fit]


def _day(number: int) -> str | None:
    """Return the day that begins ``number`` days after 1970, as ``2026-11-17``; ``None`` beyond what dates can be."""
    try:
        return (EPOCH + timedelta(days=number)).isoformat()
    except OverflowError:
        return None


def _table(records: list[Record]) -> pa.Table | None:
    try:
        table = records_table(records)
        table.validate(full=True)
    except (msgspec.DecodeError, pa.ArrowException, ValueError, TypeError, OverflowError):
        return None
    return table


def _write_parquet(lake: Lake, path: Path, table: pa.Table) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    # This process holds the segment's lock, so only a sealer that died can have left a partial file.
    lake.storage.discard_partial(lake.key(path))
    lake.storage.put(lake.key(path), memoryview(buffer.getvalue()))


def _quarantine(lake: Lake, segment: Path, payloads: list[bytes]) -> None:
    folder = lake.log / "quarantine"
    folder.mkdir(exist_ok=True)
    with (folder / segment.with_suffix(".frames").name).open("wb") as file:
        file.write(b"".join(frame(payload) for payload in payloads))
        file.flush()
        os.fsync(file.fileno())
    logger.error("segment %s: %d frames are no records, kept in quarantine", segment.name, len(payloads))


@contextmanager
def _locked(segment: Path) -> Iterator[bool]:
    """Lock ``segment``; yield true if it exists and no other process holds its lock."""
    try:
        descriptor = os.open(segment, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield segment.exists()
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
