"""Check the candidate mart with blocking checks, then publish it."""

from typing import Any

import dagster as dg

from pipelines.checks import CHECKS
from pipelines.defs.log import unreadable_files
from pipelines.defs.resources import LakeResource
from pipelines.defs.tables import POOL, TABLE_ASSETS


@dg.asset(group_name="mart", deps=TABLE_ASSETS, pool=POOL, description="All tables of the run, ready to be checked.")
def candidate_mart(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(metadata={"bytes": lake.candidate(context.run_id).path.stat().st_size})


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name.replace(" ", "_"), asset=candidate_mart, blocking=True, description=f"{name}.")
        for name in CHECKS
    ],
    pool=POOL,
)
def mart_checks(context: dg.AssetCheckExecutionContext, lake: LakeResource):  # type: ignore[no-untyped-def]
    failed = lake.candidate(context.run.run_id).failures()
    for name in CHECKS:
        yield dg.AssetCheckResult(
            check_name=name.replace(" ", "_"), asset_key=candidate_mart.key, passed=name not in failed
        )


@dg.asset(group_name="mart", deps=[candidate_mart], pool=POOL, description="The mart that dashboards open.")
def published_mart(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    candidate = lake.candidate(context.run_id)
    # Damage of pages is found after the files are listed.
    left_out = unreadable_files(candidate.unreadable())
    metadata: dict[str, Any] = {"version": candidate.publish().name}
    return dg.MaterializeResult(metadata=metadata | left_out)
