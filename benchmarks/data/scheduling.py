"""Compare the CPU time of a refresh in one process with that of the same jobs as runs of Dagster.

``python -m benchmarks.data.scheduling`` writes the table of ``docs/architecture.md``. Nothing is new for any of them,
as is usual for a refresh a minute, so that the figures are what scheduling itself costs. A run that Dagster launches is
a process of its own.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.data.generate import fill_lake, hours
from benchmarks.tables import write_between
from data.lake import Lake
from portolan.stack import DAGSTER

PAGE = Path("docs/architecture.md")
ROUNDS = 3
EXECUTE = ("-m", "dagster", "job", "execute", "-m", "pipelines.definitions", "-j")
WAYS = {
    "Python and the imports of the definitions": ["-c", "import pipelines.definitions"],
    "`portolan refresh`: all jobs in one process": ["-m", "portolan", "refresh"],
    "`refresh` as a run of Dagster": [*EXECUTE, "refresh"],
    "`learning` as a run of Dagster": [*EXECUTE, "learning"],
}


def main() -> None:
    """Write the median CPU seconds of each way."""
    with tempfile.TemporaryDirectory() as folder:
        lake, home = Lake(Path(folder) / "data"), Path(folder) / "dagster"
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        fill_lake(lake.create(), hours(1200, 24, start=day))
        home.mkdir()
        (home / "dagster.yaml").write_text(DAGSTER)
        variables = {"PORTOLAN_DATA_DIR": str(lake.root), "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"}
        _seconds(["-m", "portolan", "refresh"], variables)
        lines = ["| process | CPU s |", "|---|---|"]
        for name, arguments in WAYS.items():
            median = statistics.median(_seconds(arguments, variables) for _ in range(ROUNDS))
            lines.append(f"| {name} | {median:.1f} |")
    print("\n".join(lines))
    write_between(PAGE, "<!-- scheduling:", "\n".join(lines))


def _seconds(arguments: list[str], variables: dict[str, str]) -> float:
    """Return the CPU seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = subprocess.DEVNULL
    subprocess.run([sys.executable, *arguments], env=os.environ | variables, stdout=quiet, stderr=quiet, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
