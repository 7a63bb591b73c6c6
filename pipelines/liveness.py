"""Liveness of Dagster runs: tell the runs whose process is dead, fail them, and free the pool slots that they held.

Dagster's run monitoring cannot do it here. The default run launcher has no health check for the process of a run, and
``portolan refresh`` executes its runs without a launcher, often without a daemon.
"""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from functools import cache
from pathlib import Path

import dagster as dg

from pipelines.locks import is_held

# The lock file that the process of a run holds: host name, colon, absolute path.
LOCK_TAG = "portolan/lock"
POOLS = ("mart", "decisions", "guardrails")
IN_PROGRESS = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
DEAD = "The process of the run is dead: it was killed, or its machine was restarted."


def mark_alive(instance: dg.DagsterInstance, run_id: str, folder: Path) -> None:
    """Tag a run of this process with a lock file in ``folder`` that this process holds until it ends.

    Call it before the run claims its first pool slot. The lock outlives the run, since a run is in progress for a
    moment after its resources are gone.
    """
    instance.add_run_tags(run_id, {LOCK_TAG: f"{socket.gethostname()}:{_process_lock(folder.absolute())}"})


def end_dead_runs(instance: dg.DagsterInstance, folder: Path) -> list[str]:
    """Fail each run whose process is dead, and free the slots of ``POOLS`` that it or a finished run holds.

    Removes the lock files in ``folder`` that no process holds. Returns the ids of the runs.
    """
    ended = []
    in_progress = instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS))
    for run_id in sorted(_holders(instance) | {run.run_id for run in in_progress if LOCK_TAG in run.tags}):
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            if _is_alive(run):
                continue
            instance.report_run_failed(run, DEAD)
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        ended.append(run_id)
    for path in folder.glob("*.lock"):
        if not is_held(path):
            path.unlink(missing_ok=True)
    return ended


def _holders(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs that hold a slot of ``POOLS`` or are queued for one."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return set()
    pools = [storage.get_concurrency_info(pool) for pool in POOLS]
    claimed = {slot.run_id for pool in pools for slot in pool.claimed_slots}
    return claimed | {step.run_id for pool in pools for step in pool.pending_steps}


def _is_alive(run: dg.DagsterRun) -> bool:
    if LOCK_TAG not in run.tags:
        # Only a run of an earlier version holds a slot without this tag.
        return False
    host, _, path = run.tags[LOCK_TAG].partition(":")
    # The lock file of a run on another machine may not be visible here.
    return is_held(Path(path)) or (host != socket.gethostname() and not Path(path).exists())


@cache
def _process_lock(folder: Path) -> Path:
    """Make a lock file in ``folder`` and hold it until this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}-{uuid.uuid4().hex}.lock"
    unlocked = path.with_suffix(".new")
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # It gets its name once it is locked, so that no other process finds it free and removes it.
    unlocked.rename(path)
    return path
