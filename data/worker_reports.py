"""Read what each worker of the router reports of itself: a small file in ``health/`` that it writes each second.

A report of a worker that has ended stays until the next server starts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from data.lake import Lake

SUFFIX = ".worker"


class SharingState(msgspec.Struct, frozen=True):
    """Hold the state of one way to share with other workers."""

    failures: int
    working: bool


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what one worker has counted since its start, ``at`` that second of the machine's monotonic clock."""

    worker: str
    pid: int
    at: float
    log_healthy: bool
    written: int
    dropped: int
    waiting: int
    unlogged: int
    write_failures: int
    refusals_unrecorded: int
    policy_failures: int
    policy_version: str | None
    catalogue_version: str
    keys_known: int
    keys_stale_reads: int
    outages: list[str]
    sharing: dict[str, SharingState]
    # Hedged requests: sent, won, refused and their tokens; ``None`` where hedging is off.
    hedges: tuple[int, int, int, float] | None = None


_decode = msgspec.json.Decoder(WorkerReport).decode


def read_report(path: Path) -> WorkerReport | None:
    """Return the report in a file, ``None`` if it is gone or damaged."""
    try:
        return _decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_reports(lake: Lake) -> list[tuple[WorkerReport, datetime]]:
    """Return the report of each worker and when it was written (UTC), by the names of the workers."""
    found = []
    for path in lake.health.glob(f"*{SUFFIX}"):
        report = read_report(path)
        if report is not None:
            try:
                found.append((report, datetime.fromtimestamp(path.stat().st_mtime, UTC)))
            except FileNotFoundError:
                continue
    return sorted(found, key=lambda one: (one[0].worker, one[1]))
