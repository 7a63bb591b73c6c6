"""Define the asset of decisions and their outcomes: one partition for each hour, written when its sources change."""

import dagster as dg

from models.selection.dataset import decision_log
from pipelines.defs.days import ONE_RUN
from pipelines.defs.policies import OWNERS, RETRIES
from pipelines.defs.resources import LakeResource

POOL = "decisions"
HOURS = dg.DynamicPartitionsDefinition(name="hours")


@dg.asset(
    group_name="selection",
    partitions_def=HOURS,
    backfill_policy=ONE_RUN,
    pool=POOL,
    owners=OWNERS,
    retry_policy=RETRIES,
    kinds={"parquet"},
    description="What selection learns and is judged from, by hour of arrival.",
)
def decisions(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    files = decision_log.hours(lake.lake())
    rows = [decision_log.write_hour(lake.lake(), hour, files.get(hour, [])) for hour in context.partition_keys]
    return dg.MaterializeResult(metadata={"dagster/partition_row_count": sum(rows), "hours": len(rows)})


decisions_by_hour = dg.define_asset_job("decisions_by_hour", selection=[decisions], executor_def=dg.in_process_executor)


@dg.sensor(job=decisions_by_hour, minimum_interval_seconds=3600)
def stale_hours(lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """Request a run for each hour with newly sealed requests, however old that hour is."""
    stale = list(decision_log.stale(lake.lake()))
    if not stale:
        return dg.SkipReason("no hour has new requests")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=None, partition_key=hour) for hour in stale],
        dynamic_partitions_requests=[HOURS.build_add_request(stale)],
    )
