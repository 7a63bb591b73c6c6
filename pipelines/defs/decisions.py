"""Define the asset of decisions and their outcomes: one partition for each hour, written when its sources change."""

from collections.abc import Sequence

import dagster as dg

from models.selection.dataset import decision_log
from pipelines.defs.automation import SENSORS
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


def range_of_hours(instance: dg.DagsterInstance, stale: Sequence[str]) -> dict[str, str]:
    """Make the partitions of ``stale``, and return the tags of one run over all of them.

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


@dg.sensor(job=decisions_by_hour, minimum_interval_seconds=3600, default_status=SENSORS)
def stale_hours(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.RunRequest | dg.SkipReason:
    """Request one run over all hours with newly sealed requests, however old they are."""
    stale = list(decision_log.stale(lake.lake()))
    if not stale:
        return dg.SkipReason("no hour has new requests")
    return dg.RunRequest(tags=range_of_hours(context.instance, stale))
