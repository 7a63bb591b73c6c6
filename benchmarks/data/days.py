"""Measure refreshes, one each minute, of a lake with days of 100 requests a second; write into ``docs/data-speed.md``.

    python -m benchmarks.data.days --days 1 3 7

The lake is filled as router and compaction leave it: three files for each hour that is over, and of the running hour
one for each ten seconds, which is how often a worker seals. One refresh builds all of it. Then each refresh finds the
files of one more minute: eleven refreshes up to midnight, which ends an hour and a day, ten after it, when the hour is
compacted and its decisions are written, and ten around two o'clock, when the partitions of the day become one. Each is
a process that does what ``portolan refresh`` does, with a clock that says the time of the generated requests. Learning
rests meanwhile, as it does for most of the time with so many requests (``pipelines.refresh``). CPU seconds are all of
the process, its start among them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data.generate import GeneratedHour, RowGenerator
from benchmarks.tables import write_between
from data.lake import Lake
from data.record import lake_files
from data.record.lake_reader import LAKE_SCHEMA
from data.record.origin import encode_origin, joined_origin, sealed_origin
from portolan.stack import DAGSTER

PAGE = Path("docs/data-speed.md")
# A Monday.
START = datetime(2026, 3, 2, tzinfo=UTC)
ROWS_AN_HOUR = 360_000
HOUR, MINUTE, SEALED = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=10)
# Minutes since the midnight that ends the last day, and what they are called: the first and the last of each.
PHASES = {
    "last minutes of a day": (-10, 0),
    "first minutes of the next": (1, 10),
    "around two o'clock": (119, 128),
}
COMPACTED_AFTER, DELETED_AFTER = timedelta(minutes=5), timedelta(hours=1)
ROW_GROUP_ROWS = 32_768
# So many sealed files make one of ``HOUR_FILE_BYTES``.
JOINED = 120


class Refresh(NamedTuple):
    """Hold what one refresh cost, and what it did."""

    moment: datetime
    cpu_s: float
    wall_s: float
    load: float
    peak_mb: float
    opened: int
    written: int
    compacted: int
    seconds: dict[str, float]


class GrowingLake:
    """Add requests to a lake in order of time, as the router seals them or as compaction leaves them."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._generator = RowGenerator()
        self._hour: GeneratedHour | None = None

    def fill(self, begin: datetime, end: datetime) -> None:
        """Add what arrived between two moments and what compaction had made of it at the second."""
        hour = begin.replace(minute=0, second=0)
        while hour < end:
            next_hour = hour + HOUR
            if begin <= hour and next_hour + COMPACTED_AFTER <= end:
                self._add_hour(hour, keeps_sources=next_hour + COMPACTED_AFTER + DELETED_AFTER > end)
            else:
                self.seal(max(begin, hour), min(end, next_hour))
            hour = next_hour
        self._remember(begin, end)

    def seal(self, begin: datetime, end: datetime) -> None:
        """Write the files that are sealed from ``begin`` to ``end``, within an hour."""
        for path, table, sealed_at in self._slices(begin, end):
            pq.write_table(table, path, compression="zstd")
            os.utime(path, (sealed_at.timestamp(), sealed_at.timestamp()))

    def _add_hour(self, hour: datetime, *, keeps_sources: bool) -> None:
        slices = list(self._slices(hour, hour + HOUR))
        if keeps_sources:
            self.seal(hour, hour + HOUR)
        made_at = hour + HOUR + COMPACTED_AFTER
        for place in range(0, len(slices), JOINED):
            self._join(slices[place : place + JOINED], made_at, f"hour-{hour:%H}-{place:03d}.parquet")

    def _join(self, slices: Sequence[tuple[Path, pa.Table, datetime]], made_at: datetime, name: str) -> None:
        """Write the rows of sealed files to the file that compaction makes of them."""
        origins = []
        for path, table, _ in slices:
            moments = table["started_at"]
            origins.append(sealed_origin(path.name, len(table), moments[0].as_py(), moments[-1].as_py()))
        target = slices[0][0].with_name(name)
        with pq.ParquetWriter(target, LAKE_SCHEMA, compression="zstd", write_page_checksum=True) as writer:
            rows = pa.concat_tables([table for _, table, _ in slices])
            writer.write_table(rows.cast(LAKE_SCHEMA), row_group_size=ROW_GROUP_ROWS)
            writer.add_key_value_metadata(encode_origin(joined_origin(origins, int(made_at.timestamp() * 1e6))))

    def _slices(self, begin: datetime, end: datetime) -> Iterator[tuple[Path, pa.Table, datetime]]:
        """Yield the path, the rows and the time of each sealed file."""
        table = self._rows(begin.replace(minute=0, second=0))
        moments = table["started_at"].to_numpy()
        while begin < end:
            following = begin + SEALED
            edges = [np.datetime64(moment.replace(tzinfo=None)) for moment in (begin, following)]
            first, last = np.searchsorted(moments, edges)
            if first < last:
                path = self._folder(begin) / f"generated-{begin:%Y%m%dT%H%M%S}.parquet"
                yield path, table.slice(first, last - first), following
            begin = following

    def _rows(self, hour: datetime) -> pa.Table:
        if self._hour is None or self._hour.hour != hour:
            self._hour = None
            self._hour = GeneratedHour(hour, self._generator.hour(hour, ROWS_AN_HOUR))
        return self._hour.table

    def _folder(self, moment: datetime) -> Path:
        folder = self._lake.requests / f"day={moment:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _remember(self, begin: datetime, end: datetime) -> None:
        """Write the index of footers, as the sealer does."""
        for day in {begin.date(), end.date()}:
            lake_files.listing(self._lake, day.isoformat(), remember=True)


def _run_refresh(folder: Path, now: datetime) -> dict[str, Any]:
    """Do what ``portolan refresh`` does, in this process and as if it were ``now``."""
    from pipelines import refresh

    _move_clock(now - datetime.now(UTC))
    # Learning rests after a run that was long, as a run on so many decisions is.
    refresh.resting_until = lambda _: now + HOUR
    found = refresh.refresh(folder, lambda line: print(line, file=sys.stderr))
    if not found.succeeded:
        raise SystemExit(found.sentence())
    marts = [one for one in found.metadata.values() if "partitions_written" in one]
    status = Path("/proc/self/status").read_text()
    return {
        "peak_mb": int(status.partition("VmHWM:")[2].split()[0]) / 1024,
        "opened": max(one["files_read"] for one in marts),
        "written": sum(one["partitions_written"] for one in marts),
        "compacted": found.metadata["compacted_requests"]["files_read"],
        "seconds": {name: one["seconds"] for name, one in found.metadata.items()},
    }


def _move_clock(by: timedelta) -> None:
    """Let data, pipelines and what they have imported read another clock; the times of files are the machine's."""
    real = datetime

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

    class Moved(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + by

    for name, module in sys.modules.items():
        if name.partition(".")[0] in ("data", "models", "pipelines") and getattr(module, "datetime", None) is real:
            module.datetime = Moved  # type: ignore[attr-defined]
    clock = time.time_ns
    time.time_ns = lambda: clock() + round(by.total_seconds() * 1e9)


def _refresh(folder: Path, now: datetime) -> Refresh:
    command = [sys.executable, "-m", "benchmarks.data.days", "--refresh-at", now.isoformat(), "--folder", str(folder)]
    variables = {
        "PORTOLAN_DATA_DIR": str(folder), "DAGSTER_HOME": str(folder / "dagster"), "PYTHONWARNINGS": "ignore",
        "PORTOLAN_SCHEDULES": "off",
        # As an installation does, also where the environment says otherwise.
        "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "refreshes.txt").open("a") as said:
        said.write(f"\n{now:%Y-%m-%d %H:%M}\n")
        said.flush()
        ran = subprocess.run(command, env=os.environ | variables, check=True, stdout=subprocess.PIPE, stderr=said)
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = Refresh(now, cpu_s, wall_s, os.getloadavg()[0], **json.loads(ran.stdout))
    slowest = sorted(found.seconds.items(), key=lambda one: -one[1])[:6]
    print(
        f"{now:%Y-%m-%d %H:%M} {found.cpu_s:6.1f} CPU s {found.wall_s:6.1f} s load {found.load:4.1f} "
        f"{found.peak_mb:6.0f} MB, {found.opened} opened, {found.written} written, {found.compacted} compacted; "
        + ", ".join(f"{name} {seconds}" for name, seconds in slowest),
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data.days", description=__doc__)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 3, 7])
    every = [minute for first, last in PHASES.values() for minute in range(first, last + 1)]
    parser.add_argument("--minutes", type=int, nargs="+", default=every, help="since midnight, of the refreshes")
    parser.add_argument("--folder", type=Path, help="where to generate the lake (default: a temporary folder)")
    parser.add_argument("--refresh-at", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.refresh_at:
        print(json.dumps(_run_refresh(chosen.folder, chosen.refresh_at)))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        lines = _measure(Path(folder), sorted(chosen.days), sorted(chosen.minutes))
    made = f"{platform.python_version()} on {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}"
    said = f"{ROWS_AN_HOUR:,} rows an hour; {os.cpu_count()} cores; Python {made}."
    write_between(PAGE, "<!-- days:", "\n".join([*lines, "", said]))


def _measure(folder: Path, days: Sequence[int], minutes: Sequence[int], reached: datetime = START) -> list[str]:
    """Return the lines of the table. ``folder`` has the requests up to ``reached``."""
    (folder / "dagster").mkdir(exist_ok=True)
    (folder / "dagster" / "dagster.yaml").write_text(DAGSTER)
    growing = GrowingLake(Lake(folder).create())
    lines = [
        "| days | refreshes | number | CPU s, median | most | s, median | most | load | peak memory, MB | files opened "
        "| partitions written |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for number in days:
        midnight = START + timedelta(days=number)
        for name, (first, last) in PHASES.items():
            found = []
            for minute in (one for one in minutes if first <= one <= last):
                moment = midnight + timedelta(minutes=minute)
                if moment - reached > MINUTE:
                    # What came since the last phase, or since the beginning, is made before, as it would be by then.
                    growing.fill(reached, moment - MINUTE)
                    reached = moment - MINUTE
                    _refresh(folder, reached)
                growing.fill(reached, moment)
                reached = moment
                found.append(_refresh(folder, reached))
            if found:
                lines.append(_line(number, name, found))
                print(lines[-1], flush=True)
    return lines


def _line(days: int, name: str, found: Sequence[Refresh]) -> str:
    cpu, wall = [one.cpu_s for one in found], [one.wall_s for one in found]
    return (
        f"| {days} | {name} | {len(found)} | {statistics.median(cpu):.1f} | {max(cpu):.1f} "
        f"| {statistics.median(wall):.1f} | {max(wall):.1f} | {statistics.median(one.load for one in found):.1f} "
        f"| {max(one.peak_mb for one in found):,.0f} | {max(one.opened for one in found):,} "
        f"| {max(one.written for one in found):,} |"
    )


if __name__ == "__main__":
    main()
