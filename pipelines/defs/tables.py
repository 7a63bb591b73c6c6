"""Derive the assets of the marts and their blocking checks from the declarations."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipelines.defs.log import sealed_requests
from pipelines.defs.resources import LakeResource
from pipelines.marts.catalogue import INPUT_CHECKS, MARTS
from pipelines.marts.declaration import Mart
from pipelines.marts.partitions import CheckFailed

POOL = "mart"


def _spec(mart: Mart) -> dg.AssetSpec:
    described = {one.name: one.description for one in mart.dimensions}
    described |= {one.name: one.description for one in mart.measures}
    columns = [dg.TableColumn(name, kind, described.get(name, "Hour, UTC")) for name, kind in mart.columns.items()]
    return dg.AssetSpec(
        mart.name,
        deps=[sealed_requests],
        group_name=mart.concept,
        description=mart.description,
        owners=[mart.owner],
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns)},
        kinds={"duckdb", "parquet"},
    )


# The checks of the requests themselves stand with the first mart.
_CHECKS = [(check, MARTS[0].name) for check in INPUT_CHECKS]
_CHECKS += [(check, mart.name) for mart in MARTS for check in mart.checks]


@dg.multi_asset(
    specs=[_spec(mart) for mart in MARTS],
    check_specs=[
        dg.AssetCheckSpec(check.name, asset=asset, blocking=True, description=f"{check.sentence}.")
        for check, asset in _CHECKS
    ],
    can_subset=True,
    pool=POOL,
)
def marts(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Any]:
    """Make the partitions whose input changed, of all marts in one scan of those hours."""
    failed: tuple[str, ...] = ()
    try:
        built = lake.candidate(context.run_id).build(
            lambda done, of: context.log.info(f"{done} of {of} partitions are up to date")
        )
        for mart in MARTS:
            if dg.AssetKey(mart.name) not in context.selected_asset_keys:
                continue
            work = built.work[mart.name]
            metadata: dict[str, Any] = {
                "dagster/row_count": sum(one.rows for one in built.marts[mart.name].files),
                "files_read": len(built.opened),
                "requests_read": built.requests,
                "partitions_written": work.written,
                "partitions_skipped": work.skipped,
                "rows_written": work.rows,
                "seconds": work.seconds,
            }
            yield dg.MaterializeResult(asset_key=mart.name, metadata=metadata)
    except CheckFailed as error:
        failed = error.failed
    for check, asset in _CHECKS:
        if dg.AssetCheckKey(dg.AssetKey(asset), check.name) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(check_name=check.name, asset_key=asset, passed=check.sentence not in failed)
    if failed:
        raise dg.Failure(f"nothing is published, for this does not hold: {'; '.join(failed)}", allow_retries=False)
