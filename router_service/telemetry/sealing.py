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
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake import Lake
from data.record import lake_files
from data.record.encoding import to_table
from data.storage.local import fsync_folder
from router_service.telemetry.frames import frame, read_frames

logger = logging.getLogger(__name__)
ABANDONED_S = 60.0
INDEX_S = 30.0


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
    return SealReport(segment.name, len(payloads) - len(strange), lost_bytes, len(strange), tuple(tables))


def recover(lake: Lake) -> list[SealReport]:
    """Seal every segment that no living process writes."""
    _discard_unnamed(lake)
    segments = sorted(path for kind in ("*.wal", "*.open", "*.reserve") for path in lake.log.glob(kind))
    return [report for segment in segments if (report := seal(lake, segment)) is not None]


class SealedFiles:
    """Keep the index of the footers complete, so that a look-up of one record opens few files of a day.

    Without it the first look-up of a process would open each file of a day, of which there are 8,640 from one worker.
    """

    def __init__(self, lake: Lake, clock: Callable[[], float] = time.monotonic) -> None:
        self._lake = lake
        self._clock = clock
        self._days: set[str] = set()
        self._due_s = 0.0

    def add(self, reports: Iterable[SealReport]) -> None:
        """Note what was sealed; each ``INDEX_S`` write it to the index. Raises ``OSError``."""
        self._days.update(day for report in reports for day in report.days)
        if self._days and self._clock() >= self._due_s:
            self._due_s = self._clock() + INDEX_S
            while self._days:
                lake_files.listing(self._lake, self._days.pop(), remember=True)


def _discard_unnamed(lake: Lake) -> None:
    """Remove segments whose writer died before it gave them their name; no record is in them."""
    for path in lake.log.glob("*.new"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - ABANDONED_S:
                path.unlink()


class _Moment(msgspec.Struct):
    started_at: int


_moment = msgspec.msgpack.Decoder(_Moment)


def _by_day(payloads: list[bytes]) -> tuple[dict[str, pa.Table], list[bytes]]:
    """Return a table for each UTC day, and the payloads that are not records."""
    days: dict[str, list[bytes]] = {}
    strange: list[bytes] = []
    for payload in payloads:
        day = _day(payload)
        (strange if day is None else days.setdefault(day, [])).append(payload)
    tables: dict[str, pa.Table] = {}
    for day, rows in days.items():
        table = _table(rows)
        if table is None:
            # One bad payload must not lose the segment, so each payload is tried alone.
            strange += [row for row in rows if _table([row]) is None]
            table = _table([row for row in rows if _table([row]) is not None])
        if table is not None and table.num_rows:
            tables[day] = table
    return tables, strange


def _day(payload: bytes) -> str | None:
    try:
        return datetime.fromtimestamp(_moment.decode(payload).started_at / 1e6, UTC).strftime("%Y-%m-%d")
    except (msgspec.DecodeError, ValueError, OverflowError, OSError):
        return None


def _table(payloads: list[bytes]) -> pa.Table | None:
    try:
        table = to_table(payloads)
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
