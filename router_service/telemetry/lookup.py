"""Find one record: in memory, then in the segments on disk, then in the Parquet files of its day."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import COUNTED_IMPORT, TRAINING_IMPORT, Lake
from data.record import lake_files
from data.record.encoding import record_row
from data.record.generation_id import arrival_of
from data.record.lake_reader import LAKE_SCHEMA
from router_service.telemetry.frames import read_frames

RECENT = 10_000
# Days whose files are kept in memory, while their folder does not change.
LISTED_DAYS = 8
SETTLED_NS = 1_000_000_000
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of a sealed file that no index has, the name alone tells whether it is opened. It has the time at which its segment
# was begun. A segment is open for seconds, or for minutes on a disk that hangs. A record reaches it when its request
# has ended, or later on a disk that is full.
SEALED_NAME = re.compile(r"-(\d{16})-\d+$")
LONGEST_SEGMENT = timedelta(minutes=10)
LONGEST_DELAY = timedelta(hours=1)


class _Listed(NamedTuple):
    """Hold the files of a day's folder, as it was changed at ``changed_ns``."""

    changed_ns: int
    files: list[lake_files.LakeFile]
    unopened: list[Path]


_listed: dict[Path, _Listed] = {}


class RecentRecords:
    """Hold the last ``RECENT`` records of this worker."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, bytes] = OrderedDict()

    def add(self, generation_id: str, payload: bytes) -> None:
        """Add a record as encoded bytes, which the garbage collector need not walk."""
        self._records[generation_id] = payload
        if len(self._records) > RECENT:
            self._records.popitem(last=False)

    def get(self, generation_id: str) -> dict[str, Any] | None:
        payload = self._records.get(generation_id)
        return None if payload is None else record_row(payload)


def find_on_disk(lake: Lake, generation_id: str) -> dict[str, Any] | None:
    """Return the record as a dictionary with ``started_at`` in Unix microseconds, or ``None``.

    An id without a time is not one of a record. Files are opened that may hold its second.
    """
    arrival = arrival_of(generation_id)
    if arrival is None:
        return None
    needle = generation_id.encode()
    for segment in [*lake.log.glob("*.open"), *lake.log.glob("*.wal")]:
        try:
            content = segment.read_bytes()
        except FileNotFoundError:
            continue
        if needle not in content:
            continue
        for payload in read_frames(content).payloads:
            row = _row(payload) if needle in payload else None
            if row is not None and row["generation_id"] == generation_id:
                return row
    return _find_in_parquet(lake, generation_id, arrival)


def _files_at(lake: Lake, second: datetime) -> list[Path]:
    """Return the files whose rows arrived in ``second`` or around it: an id has the second of its arrival."""
    folder = lake.requests / f"day={second:%Y-%m-%d}"
    try:
        changed_ns = folder.stat().st_mtime_ns
    except OSError:
        return []
    known = _listed.get(folder)
    if known is None or known.changed_ns != changed_ns or any(_may_hold(path, second) for path in known.unopened):
        # A folder that changed within this clock's tick may change again without a trace.
        is_settled = time.time_ns() - changed_ns > SETTLED_NS
        found = lake_files.listing(lake, f"{second:%Y-%m-%d}", may_open=lambda path: _may_hold(path, second))
        known = _Listed(changed_ns, found.files, found.unopened)
        if is_settled:
            if len(_listed) >= LISTED_DAYS:
                _listed.clear()
            _listed[folder] = known
    end = second + timedelta(seconds=1)
    return [
        one.path
        for one in known.files
        if one.first is not None and one.last is not None and one.first < end and one.last >= second
    ]


def _may_hold(path: Path, second: datetime) -> bool:
    """Return whether a file may have requests that arrived in ``second``, by its name."""
    begun = SEALED_NAME.search(path.stem)
    if begun is None or path.name.startswith((COUNTED_IMPORT, TRAINING_IMPORT)):
        return True
    since = UNIX_EPOCH + timedelta(microseconds=int(begun[1])) - second
    return -LONGEST_SEGMENT <= since <= LONGEST_DELAY


def _row(payload: bytes) -> dict[str, Any] | None:
    """Return the row of a payload, or ``None`` for one that is no record; sealing quarantines those."""
    try:
        return record_row(payload)
    except msgspec.DecodeError:
        return None


def _may_have(file: Path, generation_id: str) -> bool:
    """Return whether ``file`` has the id, or cannot be read: the reader of all files judges that.

    That reader imports libraries for a second. An id that nobody has must not cost this.
    """
    try:
        with pq.ParquetFile(file) as opened:
            return any(_has(opened, number, generation_id) for number in range(opened.num_row_groups))
    except lake_files.FAULTS:
        return True


def _has(opened: pq.ParquetFile, group: int, generation_id: str) -> bool:
    found = opened.metadata.row_group(group).column(opened.schema.names.index("generation_id")).statistics
    if found is not None and found.has_min_max and not found.min <= generation_id <= found.max:
        return False
    ids = opened.read_row_group(group, columns=["generation_id"])["generation_id"]
    return bool(pc.index(ids, generation_id).as_py() >= 0)


def _find_in_parquet(lake: Lake, generation_id: str, at: datetime) -> dict[str, Any] | None:
    files = [file for file in _files_at(lake, at) if _may_have(file, generation_id)]
    if not files:
        return None
    found = lake_files.read(lake, files, LAKE_SCHEMA.names, pc.field("generation_id") == generation_id)
    rows = found.table.to_pylist()
    if not rows:
        return None
    row: dict[str, Any] = rows[0]
    row["started_at"] = (row["started_at"] - UNIX_EPOCH) // timedelta(microseconds=1)
    return row
