"""Tell the webhook of runs that Dagster has started and that failed; ``portolan refresh`` tells of its own."""

import dagster as dg

from pipelines.alerts import Failure, tell
from pipelines.defs.resources import LakeResource


@dg.run_failure_sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts each failed run to the address of PORTOLAN_ALERT_WEBHOOK.",
)
def failed_runs(context: dg.RunFailureSensorContext, lake: LakeResource) -> dg.SkipReason:
    """Tell of a failed run. An error of the delivery is that of the sensor's tick."""
    steps = context.get_step_failure_events()
    # A run may fail before its first step.
    causes = [event.step_failure_data.error for event in steps] or [context.failure_event.job_failure_data.error]
    errors = [(cause.cause or cause).message.strip() for cause in causes if cause is not None]
    run = context.dagster_run
    failure = Failure(
        run.job_name,
        run.run_id,
        [event.step_key or "" for event in steps],
        "; ".join(errors) or context.failure_event.message or "",
    )
    return dg.SkipReason("told" if tell(lake.lake(), failure) else "not told: no webhook is set, or it was told before")
