"""Delete old runs from the Dagster daemon, once an hour."""

from datetime import UTC, datetime

import dagster as dg

from pipelines.marts.catalogue import MARTS
from pipelines.run_retention import delete_old_runs, run_days_from_environment


@dg.sensor(
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Deletes runs that failed more than PORTOLAN_RUN_DAYS days ago, and all but the last successful ones.",
)
def old_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Delete the runs that are old."""
    deleted = delete_old_runs(
        context.instance, datetime.now(UTC), run_days_from_environment(), dg.AssetKey(MARTS[0].name)
    )
    return dg.SkipReason(f"{len(deleted)} runs are deleted")
