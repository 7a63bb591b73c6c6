"""Housekeeping of runs: a run that waits for the pool slot of a dead run gets it, although no other run begins."""

import dagster as dg

from pipelines.defs.resources import LakeResource
from pipelines.liveness import end_dead_runs


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SkipReason:
    """End the runs whose process is dead."""
    ended = end_dead_runs(context.instance, lake.lake().runs)
    return dg.SkipReason(f"ended: {', '.join(ended)}" if ended else "no run is dead")
