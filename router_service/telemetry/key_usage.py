"""Sum the cost of each key by UTC day from the request log."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from data.lake import Lake
from data.record import lake_files
from router_service.telemetry.log_sums import LogSums

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
    """Read the usage from the log."""

    def __init__(self, lake: Lake) -> None:
        self._sums = LogSums(lake, _of_payload, _of_file)

    def of(self, key_hash: str, today: date | None = None) -> KeyUsage:
        """Return the usage of one key. Reads files, so it must not run in the event loop."""
        today = today or datetime.now(UTC).date()
        week, month = today - timedelta(days=today.weekday()), today.replace(day=1)
        total = daily = weekly = monthly = 0
        for (owner, day), nano in self._sums.read().items():
            if owner == key_hash:
                total += nano
                daily += nano if day == today else 0
                weekly += nano if day >= week else 0
                monthly += nano if day >= month else 0
        return KeyUsage(total, daily, weekly, monthly)

    def on(self, key_hash: str, day: date) -> int:
        """Return the cost of one key on a UTC day, in nano-USD, from the files of that day alone. Reads files."""
        return self._sums.read((day.isoformat(),))[key_hash, day]


def _of_payload(payload: bytes) -> Spent:
    row = _row.decode(payload)
    if not row.key_hash or not row.cost_nano:
        return Counter()
    return Counter({(row.key_hash, datetime.fromtimestamp(row.started_at / 1e6, UTC).date()): row.cost_nano})


def _of_file(lake: Lake, path: Path) -> Spent:
    table = lake_files.read(lake, [path], ["key_hash", "started_at", "cost_nano"]).table
    table = table.set_column(1, "day", pc.cast(table["started_at"], pa.date32()))
    sums = table.group_by(["key_hash", "day"]).aggregate([("cost_nano", "sum")])
    rows = [row for row in sums.to_pylist() if row["key_hash"] and row["cost_nano_sum"]]
    return Counter({(row["key_hash"], row["day"]): row["cost_nano_sum"] for row in rows})
