"""Run all pipelines once, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from models.selection.dataset import decision_log
from pipelines.definitions import defs
from pipelines.defs.resources import LockedLakeResource
from pipelines.instance import opened_instance

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RefreshReport(NamedTuple):
    """Results of a refresh: ``metadata`` by asset name, and ``failed`` steps and checks, or why no run started."""

    succeeded: bool
    metadata: dict[str, dict[str, Any]]
    failed: list[str]


def refresh(data_dir: Path, progress: Callable[[str], None]) -> RefreshReport:
    """Run the job ``refresh``, write the hours of decisions that have new requests, then run ``learning``.

    Each job runs although the one before has failed: marts and policies do not depend on each other.

    Runs are kept where ``DAGSTER_HOME`` says, if it is set.
    """
    lake = LockedLakeResource(data_dir=str(data_dir))
    with opened_instance() as instance:
        results = [_run("refresh", lake, instance, {})]
        stale = list(decision_log.stale(lake.lake()))
        if stale:
            results.append(_run("decisions_by_hour", lake, instance, _hours(instance, stale)))
        results.append(_run("learning", lake, instance, {}))
    found: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    for result in results:
        for event in result.get_asset_materialization_events():
            materialization = event.step_materialization_data.materialization
            name = materialization.asset_key.to_user_string()
            found[name] = {key: value.value for key, value in materialization.metadata.items()}
        failed += [event.step_key or "" for event in result.all_events if event.is_step_failure]
        errors = [event.job_failure_data.error for event in result.all_events if event.is_job_failure]
        failed += [(error.cause or error).message.strip() for error in errors if error]
        failed += [e.check_name for e in result.get_asset_check_evaluations() if not e.passed]
    for name, metadata in found.items():
        progress(f"{name}: {', '.join(f'{key} {value}' for key, value in metadata.items())}")
    return RefreshReport(all(result.success for result in results), found, failed)


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


def _hours(instance: dg.DagsterInstance, stale: list[str]) -> dict[str, str]:
    """Return the range of partitions for one run over all hours.

    Dynamic partitions keep the order in which they were added, so a range may contain others. Writing those again
    changes nothing.
    """
    instance.add_dynamic_partitions("hours", stale)
    known = instance.get_dynamic_partitions("hours")
    places = sorted(known.index(hour) for hour in stale)
    return {
        "dagster/asset_partition_range_start": known[places[0]],
        "dagster/asset_partition_range_end": known[places[-1]],
    }
