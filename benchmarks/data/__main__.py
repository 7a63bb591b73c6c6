"""Measure building and refreshing the marts on generated rows, and write ``docs/data-speed.md``.

    make bench-data
    python -m benchmarks.data --rows 1000000 3000000

Ten million rows are a month of files of an hour, 14,000 rows each; fewer rows are fewer days of the same density, so
that an hour is the same work after any history. Days are compacted after the smallest history alone.

Each step runs in a process of its own, whose CPU seconds and peak resident memory are those of the step: the start of
Python and the imports are measured apart and subtracted from the CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.data.day_sizes import size_lines
from benchmarks.data.generate import START, GeneratedHour, RowGenerator, fill_lake, hours
from benchmarks.tables import write_between
from data.lake import Lake

PAGE = Path("docs/data-speed.md")
ROWS_A_DAY = 24 * 14_000
STEPS = ("start", "build", "repeat", "hour", "compact")
NAMES = {
    "build": "first build",
    "repeat": "the same again",
    "hour": "one more hour",
    "compact": "compaction of all days",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--hours", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to generate the lake (default: a temporary folder)")
    chosen = parser.parse_args()
    if chosen.step:
        print(json.dumps(_run_step(chosen.step, Lake(chosen.folder), chosen.hours)))
        return
    lines = [
        "| rows | step | CPU s | peak memory, MB | files opened | partitions written | lake, MB | marts of lake |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sizes: list[str] = []
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            hours_of_rows = chosen.hours or max(1, round(rows / ROWS_A_DAY)) * 24
            lines += _measure(Path(folder), rows, hours_of_rows, sizes, compacted=rows == min(chosen.rows))
        print("\n".join(lines), flush=True)
    made = f"{platform.python_version()} on {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}"
    hours_said = f"Files of an hour, about {ROWS_A_DAY // 24:,} rows each; Python {made}."
    write_between(PAGE, "<!-- table:", "\n".join([*lines, "", hours_said]))
    write_between(PAGE, "<!-- sizes:", "\n".join(sizes))


def _measure(folder: Path, rows: int, hours_of_rows: int, sizes: list[str], *, compacted: bool) -> list[str]:
    """Return the lines of a history; ``sizes`` gets those of the marts' sizes if it has none yet."""
    lake = Lake(folder).create()
    fill_lake(lake, hours(rows, hours_of_rows))
    idle = _step("start", folder, hours_of_rows)["cpu_s"]
    lines = []
    for step, before in _steps(lake, rows, hours_of_rows)[: None if compacted else -1]:
        before()
        found = _step(step, folder, hours_of_rows)
        sizes += [] if sizes else size_lines(lake)
        size, marts = _bytes(lake.requests), _bytes(lake.marts)
        lines.append(
            f"| {rows:,} | {NAMES[step]} | {found['cpu_s'] - idle:.1f} | {found['peak_mb']:,.0f} | {found['opened']:,} "
            f"| {found['written']:,} | {size / 1e6:,.0f} | {marts / size:.1%} |"
        )
    return lines


def _steps(lake: Lake, rows: int, hours_of_rows: int) -> list[tuple[str, Callable[[], object]]]:
    """Return the steps, each with what is done before it is measured."""
    hour = START + timedelta(hours=hours_of_rows)

    def add_hour() -> None:
        fill_lake(lake, iter([GeneratedHour(hour, RowGenerator(7).hour(hour, rows // hours_of_rows))]))

    def nothing() -> None:
        return

    return [("build", nothing), ("repeat", nothing), ("hour", add_hour), ("compact", nothing)]


def _step(step: str, folder: Path, hours_of_rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.data", "--step", step, "--folder", str(folder)]
    ran = subprocess.run([*command, "--hours", str(hours_of_rows)], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def _run_step(step: str, lake: Lake, hours_of_rows: int) -> dict[str, Any]:
    from pipelines.build import build_mart
    from pipelines.defs.compaction.compact import CompactionSettings, compact

    opened = written = 0
    now = START + timedelta(hours=hours_of_rows + (step == "hour"))
    if step == "compact":
        settings = CompactionSettings(0, 0, 0, rows_a_run=sys.maxsize)
        report = compact(lake, datetime.now(UTC) + timedelta(days=1), settings)
        opened, written = report.read, report.written
    elif step != "start":
        built = build_mart(lake, now)
        opened, written = len(built.opened), built.written
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": _peak_mb(),
        "opened": opened,
        "written": written,
    }


def _peak_mb() -> float:
    """Return the peak resident memory of this program; ``ru_maxrss`` may be that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
