"""Sum the cost of each key by UTC day from the request log, which covers all workers and earlier restarts."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from data.lake import Lake
from data.record import lake_files
from router_service.telemetry.frames import read_frames

Spent = Counter[tuple[str, date]]


class KeyUsage(NamedTuple):
    """Usage of a key in nano-USD: in total, and in the current UTC day, week (from Monday) and month."""

    total: int
    daily: int
    weekly: int
    monthly: int


class _Row(msgspec.Struct):
    started_at: int
    cost_nano: int = 0  # omitted where it is 0
    key_hash: str | None = None


_row = msgspec.msgpack.Decoder(_Row)


class KeyUsageReader:
    """Read the usage from the log. Sealed files never change, so each is read once; unsealed segments every time."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._sealed: dict[Path, Spent] = {}
        self._lock = threading.Lock()

    def of(self, key_hash: str, today: date | None = None) -> KeyUsage:
        """Return the usage of one key. Reads files, so it must not run in the event loop."""
        today = today or datetime.now(UTC).date()
        week, month = today - timedelta(days=today.weekday()), today.replace(day=1)
        total = daily = weekly = monthly = 0
        for (owner, day), nano in self._spent().items():
            if owner == key_hash:
                total += nano
                daily += nano if day == today else 0
                weekly += nano if day >= week else 0
                monthly += nano if day >= month else 0
        return KeyUsage(total, daily, weekly, monthly)

    def _spent(self) -> Spent:
        with self._lock:
            # Segments are read before files: one that is sealed meanwhile is found in both, and only its file counts.
            unsealed = {path.stem: _of_segment(path) for path in self._segments()}
            found = lake_files.listing(self._lake)
            # The usage that was read from a file before it was damaged still counts.
            sealed = {one.path: counted for one in found.unreadable if (counted := self._sealed.get(one.path))}
            for path, *_ in found.files:
                sealed[path] = self._sealed[path] if path in self._sealed else _of_file(self._lake, path)
            self._sealed = sealed
            stems = {path.stem for path in sealed}
            spent: Spent = Counter()
            for counted in self._sealed.values():
                spent.update(counted)
            for stem, counted in unsealed.items():
                if stem not in stems:
                    spent.update(counted)
            return spent

    def _segments(self) -> list[Path]:
        return [*self._lake.log.glob("*.open"), *self._lake.log.glob("*.wal")]


def _of_segment(path: Path) -> Spent:
    spent: Spent = Counter()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return spent
    for payload in read_frames(content).payloads:
        try:
            row = _row.decode(payload)
        except msgspec.DecodeError:
            continue
        if row.key_hash and row.cost_nano:
            spent[row.key_hash, datetime.fromtimestamp(row.started_at / 1e6, UTC).date()] += row.cost_nano
    return spent


def _of_file(lake: Lake, path: Path) -> Spent:
    table = lake_files.read(lake, [path], ["key_hash", "started_at", "cost_nano"]).table
    table = table.set_column(1, "day", pc.cast(table["started_at"], pa.date32()))
    sums = table.group_by(["key_hash", "day"]).aggregate([("cost_nano", "sum")])
    rows = [row for row in sums.to_pylist() if row["key_hash"] and row["cost_nano_sum"]]
    return Counter({(row["key_hash"], row["day"]): row["cost_nano_sum"] for row in rows})
