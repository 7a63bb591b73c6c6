"""The start: which sealed requests a run stands on."""

import dagster as dg

from pipelines.defs.resources import LakeResource


@dg.asset(group_name="log", pool="mart", description="Parquet files of the request log, listed once for the whole run.")
def sealed_requests(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(metadata={"dagster/row_count": lake.candidate(context.run_id).begin()})
