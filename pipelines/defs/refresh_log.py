"""Log the refreshes that Dagster has started, as ``portolan refresh`` logs its own, so that dashboards show them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterEvent

from pipelines.defs.publication import NAME, PUBLISHED, VERSION
from pipelines.defs.resources import LakeResource
from pipelines.refresh_log import Outcome, log_refresh
from pipelines.run_events import failures, warnings

JOB = "refresh"


def _log_of(status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    """Return the sensor of the refreshes that end with ``status``."""

    @dg.run_status_sensor(
        run_status=status,
        name=f"logged_{status.value.lower()}",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Keeps what each refresh did for the page Operations.",
    )
    def logged(context: dg.RunStatusSensorContext, lake: LakeResource) -> dg.SkipReason:
        """Log a run that refreshes or publishes the marts."""
        run, stats = context.dagster_run, context.instance.get_run_stats(context.dagster_run.run_id)
        logs = context.instance.all_logs(run.run_id)
        events = [one.dagster_event for one in logs if one.dagster_event is not None]
        publication = _publication(events)
        if stats.start_time is None or (run.job_name != JOB and publication is None):
            return dg.SkipReason(f"{run.job_name} is no refresh")
        current = lake.lake().current_mart()
        version = publication[VERSION].value if publication else current.name if current else None
        outcome = Outcome(
            succeeded=status == dg.DagsterRunStatus.SUCCESS,
            failed=failures(events),
            warnings=warnings(events),
            version=version,
            moved=publication is not None and publication["published"].value == PUBLISHED,
            listed=publication is not None,
        )
        seconds = (stats.end_time or stats.start_time) - stats.start_time
        log_refresh(lake.lake(), outcome, datetime.fromtimestamp(stats.start_time, UTC), seconds)
        return dg.SkipReason(f"logged the run {run.run_id}")

    return logged


def _publication(events: Sequence[DagsterEvent]) -> Mapping[str, Any] | None:
    """Return the metadata of the publication, ``None`` if the run did not get so far."""
    for event in events:
        if event.is_step_materialization and event.asset_key == dg.AssetKey(NAME):
            return event.step_materialization_data.materialization.metadata
    return None


refresh_logs = [_log_of(status) for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)]
