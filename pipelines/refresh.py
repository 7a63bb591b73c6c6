"""Run all pipelines once, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from data.lake import Lake
from models.selection.dataset import decision_log
from pipelines.alerts import Failure, NotDelivered, forget, tell
from pipelines.definitions import defs
from pipelines.defs.decisions import range_of_hours
from pipelines.defs.resources import LockedLakeResource
from pipelines.instance import opened_instance
from pipelines.marts.catalogue import MARTS
from pipelines.run_retention import delete_old_runs, run_days_from_environment

NAME = "portolan refresh"
# Metadata for Dagster's pages, not for lines.
HIDDEN = ("dagster/column_schema", "dagster/column_lineage")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RefreshReport(NamedTuple):
    """Results of a refresh: ``metadata`` by asset name, and ``failed`` steps and checks, or why no run started.

    ``skipped`` are the steps that did not run because one before them failed. ``version`` is the published version of
    the marts after the refresh, ``None`` if there is none; ``moved`` says whether this refresh has published it.
    """

    succeeded: bool
    metadata: dict[str, dict[str, Any]]
    failed: list[str]
    skipped: list[str]
    version: str | None
    moved: bool

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
        if self.succeeded:
            return f"{marts}."
        skipped = f"; not run: {', '.join(self.skipped)}" if self.skipped else ""
        return f"failed: {', '.join(self.failed)}{skipped}; {marts}."


def refresh(data_dir: Path, progress: Callable[[str], None]) -> RefreshReport:
    """Run the job ``refresh``, write the hours of decisions that have new requests, then run ``learning``.

    Each job runs although the one before has failed: marts and policies do not depend on each other. ``progress``
    receives a line for each asset when its job has ended. Runs are kept where ``DAGSTER_HOME`` says, if it is set.
    """
    lake = LockedLakeResource(data_dir=str(data_dir))
    before = lake.lake().current_mart()
    found: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    skipped: list[str] = []
    run_ids: list[str] = []

    def run(name: str, tags: dict[str, str]) -> bool:
        result = _run(name, lake, instance, tags)
        made = _materialized(result)
        if not result.success:
            run_ids.append(result.run_id)
        for asset, metadata in made.items():
            progress(f"{asset}: {', '.join(f'{key} {value}' for key, value in metadata.items())}")
        found.update(made)
        failed.extend(_failures(result))
        ended = {event.step_key for event in result.all_events if event.is_step_success or event.is_step_failure}
        not_run = [node.name for node in result.job_def.nodes if node.name not in ended]
        for step in not_run:
            progress(f"{step}: not run, for a step before it failed")
        skipped.extend(not_run)
        return bool(result.success)

    with opened_instance() as instance:
        succeeded = [run("refresh", {})]
        stale = list(decision_log.stale(lake.lake()))
        if stale:
            succeeded.append(run("decisions_by_hour", range_of_hours(instance, stale)))
        succeeded.append(run("learning", {}))
        if not instance.is_ephemeral:
            delete_old_runs(instance, datetime.now(UTC), run_days_from_environment(), dg.AssetKey(MARTS[0].name))
    after = lake.lake().current_mart()
    report = RefreshReport(all(succeeded), found, failed, skipped, after.name if after else None, after != before)
    alert(lake.lake(), report, run_ids, progress)
    return report


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


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return the steps and checks that failed, and why a run did not start."""
    failed = [event.step_key or "" for event in result.all_events if event.is_step_failure]
    errors = [event.job_failure_data.error for event in result.all_events if event.is_job_failure]
    failed += [(error.cause or error).message.strip() for error in errors if error]
    return failed + [e.check_name for e in result.get_asset_check_evaluations() if not e.passed and e.blocking]


def _run(
    name: str, lake: LockedLakeResource, instance: dg.DagsterInstance, tags: dict[str, str]
) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def(name)
    result = job.execute_in_process(
        run_config=QUIET, instance=instance, raise_on_error=False, resources={"lake": lake}, tags=tags
    )
    failures = [event.job_failure_data for event in result.all_events if event.is_job_failure]
    if any(found.failure_reason and found.failure_reason.value == "UNEXPECTED_TERMINATION" for found in failures):
        # Dagster ends the run at Ctrl-C, and goes on as after any other failure.
        raise KeyboardInterrupt
    return result
