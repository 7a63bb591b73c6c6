"""Delete old runs of Dagster, their events and their output. Each run has a database file of some hundred kilobytes.

The runs that made the present content of a day of a mart stay, so that Dagster goes on showing it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

VARIABLE = "PORTOLAN_RUN_DAYS"
DAYS = 14
# A refresh a minute makes thousands of runs a day. Of those that succeeded, so many of each job stay.
SUCCESSES = 200
# How many runs one pass deletes.
AT_ONCE = 500
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def run_days_from_environment() -> int:
    """Read ``PORTOLAN_RUN_DAYS``. Raises ``ValueError`` with a sentence that says what to change."""
    text = os.environ.get(VARIABLE, "").strip() or str(DAYS)
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise ValueError(f"{VARIABLE} must be a whole number of days from 1 to 36500, not {text}")
    return int(text)


def delete_old_runs(
    instance: dg.DagsterInstance, now: datetime, days: int, partitioned: dg.AssetKey, successes: int = SUCCESSES
) -> list[str]:
    """Delete failed runs older than ``days``, and all but the last ``successes`` successful ones of each job.

    Runs whose partitions of the asset ``partitioned`` are the latest stay. Returns the ids of the deleted runs.
    """
    old = [*_old_failures(instance, now - timedelta(days=days)), *_old_successes(instance, successes)]
    if not old:
        return []
    kept = _makers(instance, partitioned)
    deleted = [run_id for run_id in old if run_id not in kept][:AT_ONCE]
    for run_id in deleted:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _delete_database(instance, run_id)
    return deleted


def _old_failures(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    wanted = dg.RunsFilter(statuses=FAILED, updated_before=before)
    return (run.run_id for run in instance.get_runs(filters=wanted, limit=AT_ONCE, ascending=True))


def _old_successes(instance: dg.DagsterInstance, kept: int) -> Iterator[str]:
    counted: dict[str, int] = {}
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])):
        counted[run.job_name] = counted.get(run.job_name, 0) + 1
        if counted[run.job_name] > kept:
            yield run.run_id


def _makers(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    """Return the runs that made the present content of each partition of ``asset``."""
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        asset, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    wanted = set(latest.values())
    found: set[str] = set()
    cursor: str | None = None
    while wanted:
        page = instance.fetch_materializations(asset, limit=1000, cursor=cursor)
        found.update(one.run_id for one in page.records if one.storage_id in wanted)
        wanted -= {one.storage_id for one in page.records}
        cursor = page.cursor
        if not page.has_more:
            break
    return found


def _delete_database(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete the SQLite file of a run's events, which Dagster empties and keeps."""
    storage: Any = instance.event_log_storage
    if hasattr(storage, "path_for_shard"):
        for end in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + end).unlink(missing_ok=True)
