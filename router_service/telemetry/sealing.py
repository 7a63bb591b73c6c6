"""Sealing: a finished segment becomes Parquet, exactly once wherever a crash falls.

The Parquet is named after its segment, so a repeated sealing writes the same rows over themselves.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake import Lake, fsync_folder
from data.schema import to_table
from router_service.telemetry.frames import frame, read_frames

logger = logging.getLogger(__name__)


class SealReport(NamedTuple):
    """``lost_bytes`` were a torn tail; ``quarantined`` frames were whole but no records."""

    segment: str
    rows: int
    lost_bytes: int
    quarantined: int


def seal(lake: Lake, segment: Path) -> SealReport | None:
    """Turn ``segment`` into Parquet. ``None`` when its writer lives or another process seals it."""
    with _locked(segment) as free:
        if not free:
            return None
        payloads, lost_bytes = read_frames(segment.read_bytes())
        days, strange = _by_day(payloads)
        for day, rows in days.items():
            _write_parquet(lake.requests / f"day={day}", segment.stem, rows)
        if strange:
            _quarantine(lake, segment, strange)
        segment.unlink()
        fsync_folder(lake.log)
    if lost_bytes:
        logger.warning("segment %s ended in %d unreadable bytes", segment.name, lost_bytes)
    return SealReport(segment.name, len(payloads) - len(strange), lost_bytes, len(strange))


def recover(lake: Lake) -> list[SealReport]:
    """Seal every segment that no living process writes."""
    segments = sorted([*lake.log.glob("*.wal"), *lake.log.glob("*.open")])
    return [report for segment in segments if (report := seal(lake, segment)) is not None]


class Sealer:
    """A thread that seals what is ready, every ``interval`` seconds. Several processes may each run one."""

    def __init__(self, lake: Lake, interval: float = 2.0) -> None:
        self._lake = lake
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Seal once more, then end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            try:
                recover(self._lake)
            except OSError as error:
                logger.error("sealing waits: %s", error)
            if stopping:
                return
            self._stopping.wait(self._interval)


class _Moment(msgspec.Struct):
    started_at: int


_moment = msgspec.msgpack.Decoder(_Moment)


def _by_day(payloads: list[bytes]) -> tuple[dict[str, list[bytes]], list[bytes]]:
    good, strange = _split(payloads)
    days: dict[str, list[bytes]] = {}
    for payload in good:
        moment = datetime.fromtimestamp(_moment.decode(payload).started_at / 1e6, UTC)
        days.setdefault(moment.strftime("%Y-%m-%d"), []).append(payload)
    return days, strange


def _split(payloads: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Records, and what is none. One bad payload must not cost the segment, so only then each is tried."""
    if _readable(payloads):
        return payloads, []
    good = [payload for payload in payloads if _readable([payload])]
    return good, [payload for payload in payloads if not _readable([payload])]


def _readable(payloads: list[bytes]) -> bool:
    try:
        for payload in payloads:
            _moment.decode(payload)
        to_table(payloads).validate(full=True)
    except (msgspec.DecodeError, pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError):
        return False
    return True


def _write_parquet(folder: Path, name: str, payloads: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = to_table(payloads).sort_by([("started_at", "ascending"), ("generation_id", "ascending")])
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / f"{name}.parquet")
    fsync_folder(folder)
    fsync_folder(folder.parent)


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
    """Whether this process may seal ``segment``: it exists and nobody else holds its lock."""
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
