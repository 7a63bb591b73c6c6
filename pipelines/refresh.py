"""Run all pipelines once, in this process."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from data.lake import Lake
from data.policies import read_serving
from data.record.origin import HOUR_FORMAT
from models.selection.dataset import decision_log
from models.selection.lifecycle.rollout import rollout_schedule_from_environment
from pipelines.activity import Activity, Follower
from pipelines.alerts import Failure, NotDelivered, forget, tell
from pipelines.definitions import defs
from pipelines.defs.decisions import range_of_hours
from pipelines.defs.resources import LockedLakeResource
from pipelines.instance import opened_instance
from pipelines.marts.catalogue import MARTS
from pipelines.refresh_log import Outcome, log_refresh
from pipelines.run_events import failures, warnings
from pipelines.run_retention import delete_old_runs, run_days_from_environment

NAME = "portolan refresh"
JOBS = ("refresh", "decisions_by_hour", "learning")
# Learning that took longer rests until it has taken a tenth of the time, since it keeps the next refresh waiting.
LONG_S, SHARE = 15.0, 0.1
# Then an hour of decisions is written so long after its end, when compaction has joined its files.
SETTLES = timedelta(minutes=10)
# Metadata for Dagster's pages, not for lines.
HIDDEN = ("dagster/column_schema", "dagster/column_lineage")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RefreshReport(NamedTuple):
    """Results of a refresh: ``metadata`` by asset name, and ``failed`` steps and checks, or why no run started.

    ``skipped`` are the steps that did not run because one before them failed. ``version`` is the published version of
    the marts after the refresh, ``None`` if there is none; ``moved`` says whether this refresh has published it.
    ``warnings`` are those of checks that did not pass and kept nothing from being published.
    """

    succeeded: bool
    metadata: dict[str, dict[str, Any]]
    failed: list[str]
    skipped: list[str]
    version: str | None
    moved: bool
    warnings: list[str]

    def sentence(self) -> str:
        """Return the sentence that ends the output: what failed, if anything, and which marts are in force."""
        if self.version is None:
            marts = "no mart is published"
        elif self.moved:
            marts = f"the marts are published as {self.version}"
        elif self.succeeded:
            marts = f"the marts are unchanged: {self.version} stays in force"
        else:
            marts = f"what was published before stays in force: {self.version}"
        if self.warnings:
            marts += f"; {len(self.warnings)} {'check warns' if len(self.warnings) == 1 else 'checks warn'}"
        if self.succeeded:
            return f"{marts}."
        skipped = f"; not run: {', '.join(self.skipped)}" if self.skipped else ""
        return f"failed: {', '.join(self.failed)}{skipped}; {marts}."


def refresh(
    data_dir: Path, progress: Callable[[str], None], watch: Callable[[Activity], None] = lambda _: None
) -> RefreshReport:
    """Run the job ``refresh``, write the hours of decisions that have new requests, then run ``learning``.

    After a run of ``learning`` that was long it rests (``resting_until``), and the last hour of decisions, which it
    reads, waits for it. The guardrails of policies that serve are checked all the same.

    Each job runs although the one before has failed: marts and policies do not depend on each other. ``progress``
    receives a line for each asset when its job has ended, and ``watch`` what is done meanwhile. Runs are kept where
    ``DAGSTER_HOME`` says, if it is set.
    """
    lake = LockedLakeResource(data_dir=str(data_dir))
    before = lake.lake().current_mart()
    began, clock_s = datetime.now(UTC), time.monotonic()
    follower = Follower(sum(len(defs.resolve_job_def(name).nodes) for name in JOBS), watch)
    with opened_instance() as instance:
        results = [_run("refresh", lake, instance, {}, follower, progress)]
        rests_until = resting_until(instance)
        running = (datetime.now(UTC) - SETTLES).strftime(HOUR_FORMAT)
        stale = [hour for hour in decision_log.stale(lake.lake()) if rests_until is None or hour < running]
        if stale:
            tags = range_of_hours(instance, stale)
            results.append(_run("decisions_by_hour", lake, instance, tags, follower, progress))
        else:
            follower.pass_over(1)
        if rests_until is None:
            results.append(_run("learning", lake, instance, {}, follower, progress))
        else:
            progress(f"learning: not run, for its last run was long; it is due at {rests_until:%H:%M} UTC")
            follower.pass_over(len(defs.resolve_job_def("learning").nodes))
            if read_serving(lake.lake()).versions():
                results.append(_run("watch", lake, instance, {}, follower, progress))
        after = lake.lake().current_mart()
        report = _report(results, after.name if after else None, after != before)
        alert(lake.lake(), report, [result.run_id for result in results if not result.success], progress)
        if not instance.is_ephemeral:
            _delete_old_runs(instance, progress)
    _remember(lake.lake(), report, began, time.monotonic() - clock_s, progress)
    return report


def resting_until(instance: dg.DagsterInstance) -> datetime | None:
    """Return when ``learning`` is due again, ``None`` if it is now.

    A run of some seconds may be repeated by each refresh. One of a large log takes minutes, in which no marts are made.
    """
    # The clock of the runs' own times.
    now = datetime.fromtimestamp(time.time(), UTC)
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    for record in instance.get_run_records(dg.RunsFilter(job_name="learning", statuses=ended), limit=1):
        if record.start_time is None or record.end_time is None or record.end_time - record.start_time <= LONG_S:
            break
        took = timedelta(seconds=record.end_time - record.start_time)
        # Where a lab lets its market's time pass faster, so passes the time to rest.
        due = datetime.fromtimestamp(record.start_time, UTC) + took / SHARE / rollout_schedule_from_environment().speed
        return due if due > now else None
    return None


def _remember(
    lake: Lake, report: RefreshReport, began: datetime, seconds: float, progress: Callable[[str], None]
) -> None:
    """Append the refresh to those that dashboards show; one that cannot be written is told and costs nothing else."""
    listed = "published_mart" in report.metadata
    outcome = Outcome(report.succeeded, report.failed, report.warnings, report.version, report.moved, listed)
    try:
        log_refresh(lake, outcome, began, seconds)
    except OSError as error:
        progress(f"refreshes: not written: {error.strerror or type(error).__name__}")


def _report(results: Sequence[dg.ExecuteInProcessResult], version: str | None, moved: bool) -> RefreshReport:
    return RefreshReport(
        succeeded=all(result.success for result in results),
        metadata={name: made for result in results for name, made in _materialized(result).items()},
        failed=[one for result in results for one in failures(result.all_events)],
        skipped=[step for result in results for step in _not_run(result)],
        version=version,
        moved=moved,
        warnings=[one for result in results for one in warnings(result.all_events)],
    )


def _lines(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Yield what each asset read, wrote and skipped and how long it took, then warnings and what did not run."""
    for asset, metadata in _materialized(result).items():
        said = {key.removeprefix("dagster/").replace("_", " "): value for key, value in metadata.items()}
        seconds = said.pop("seconds", None)
        took = f", {seconds} s" if seconds is not None else ""
        yield f"{asset}: {', '.join(f'{key} {value}' for key, value in said.items())}{took}"
    yield from (f"warning: {warning}" for warning in warnings(result.all_events))
    yield from (f"{step}: not run, for a step before it failed" for step in _not_run(result))


def _not_run(result: dg.ExecuteInProcessResult) -> list[str]:
    ended = {event.step_key for event in result.all_events if event.is_step_success or event.is_step_failure}
    return [node.name for node in result.job_def.nodes if node.name not in ended]


def _delete_old_runs(instance: dg.DagsterInstance, progress: Callable[[str], None]) -> None:
    try:
        delete_old_runs(instance, datetime.now(UTC), run_days_from_environment(), dg.AssetKey(MARTS[0].name))
    except (OSError, SQLAlchemyError) as error:
        # The next refresh deletes them.
        progress(f"old runs: not deleted: {type(error).__name__}")


def alert(lake: Lake, report: RefreshReport, run_ids: Sequence[str], progress: Callable[[str], None]) -> None:
    """Tell the webhook of a failure, which its sensor would not see; let the next be told after a success."""
    try:
        if report.succeeded:
            forget(lake, NAME)
        else:
            tell(lake, Failure(NAME, ", ".join(run_ids), report.failed, report.sentence()))
    except (NotDelivered, OSError) as error:
        progress(f"alert: {error}")


def _materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of each asset, with the seconds of its step unless it has its own."""
    seconds = {
        event.step_key: round(event.step_success_data.duration_ms / 1000, 3)
        for event in result.all_events
        if event.is_step_success
    }
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        made = event.step_materialization_data.materialization
        metadata = {key: value.value for key, value in made.metadata.items() if key not in HIDDEN}
        if event.step_key in seconds:
            metadata.setdefault("seconds", seconds[event.step_key])
        found[made.asset_key.to_user_string()] = metadata
    return found


def _run(
    name: str,
    lake: LockedLakeResource,
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    follower: Follower,
    progress: Callable[[str], None],
) -> dg.ExecuteInProcessResult:
    job, run_id = defs.resolve_job_def(name), str(uuid.uuid4())
    instance.add_event_listener(run_id, follower.event)
    result = job.execute_in_process(
        run_config=QUIET, instance=instance, raise_on_error=False, resources={"lake": lake}, tags=tags, run_id=run_id
    )
    failures = [event.job_failure_data for event in result.all_events if event.is_job_failure]
    if any(found.failure_reason and found.failure_reason.value == "UNEXPECTED_TERMINATION" for found in failures):
        # Dagster ends the run at Ctrl-C, and goes on as after any other failure.
        raise KeyboardInterrupt
    for line in _lines(result):
        progress(line)
    return result
