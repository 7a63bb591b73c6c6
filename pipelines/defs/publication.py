"""Publish the version that the marts make together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from data.record.lake_files import Unreadable
from pipelines.defs.checks import check_results, check_spec
from pipelines.defs.log import unreadable_files
from pipelines.defs.policies import FRESHNESS, OWNERS, RETRIES
from pipelines.defs.resources import LakeResource
from pipelines.defs.tables import POOL
from pipelines.marts.catalogue import MARTS
from pipelines.marts.checking import CheckFailed
from pipelines.marts.rollups import VIEW_CHECKS

NAME = "published_mart"
VERSION, PUBLISHED = "version", "new version"
_CHECKS = [(check, NAME) for check in VIEW_CHECKS]


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            NAME,
            deps=[mart.name for mart in MARTS],
            group_name="mart",
            owners=OWNERS,
            freshness_policy=FRESHNESS,
            kinds={"duckdb"},
            description="The version that dashboards open: a DuckDB file of views over the partitions, and roll-ups.",
        )
    ],
    check_specs=[check_spec(check, asset) for check, asset in _CHECKS],
    # A check has no result where nothing new was published.
    can_subset=True,
    pool=POOL,
    retry_policy=RETRIES,
)
def published_mart(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Any]:
    candidate = lake.candidate(context.run_id)
    manifest = candidate.manifest()
    is_new = candidate.is_new()
    try:
        path = candidate.publish()
    except CheckFailed as error:
        yield from check_results(context, _CHECKS, error.failed)
        raise dg.Failure(f"nothing is published: {error}", allow_retries=False) from None
    left_out = unreadable_files([Unreadable(Path(file), reason) for file, reason in manifest.left_out])
    files = [one for made in manifest.marts.values() for one in made.files]
    metadata: dict[str, Any] = {
        VERSION: path.name,
        "published": PUBLISHED if is_new else "nothing changed",
        "bytes": path.stat().st_size,
        "partition_files": len(files),
        "partition_bytes": sum(one.bytes for one in files),
    }
    if context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=NAME, metadata=metadata | left_out)
    if is_new:
        yield from check_results(context, _CHECKS, {})
