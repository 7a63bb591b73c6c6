"""Free the pool slots of dead runs from the Dagster daemon, so that a waiting run gets one although no other begins."""

import dagster as dg

from pipelines.defs.resources import LakeResource
from pipelines.liveness import end_dead_runs


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SkipReason:
    """End the runs whose process is dead."""
    ended = end_dead_runs(context.instance, lake.lake().runs)
    return dg.SkipReason(f"ended: {', '.join(ended)}" if ended else "no run is dead")
