"""Publish the version that the marts make together."""

from pathlib import Path
from typing import Any

import dagster as dg

from data.record.lake_files import Unreadable
from pipelines.defs.log import unreadable_files
from pipelines.defs.policies import FRESHNESS, OWNERS, RETRIES
from pipelines.defs.resources import LakeResource
from pipelines.defs.tables import POOL
from pipelines.marts.catalogue import MARTS


@dg.asset(
    group_name="mart",
    deps=[mart.name for mart in MARTS],
    pool=POOL,
    owners=OWNERS,
    retry_policy=RETRIES,
    freshness_policy=FRESHNESS,
    kinds={"duckdb"},
    description="The version that dashboards open: a DuckDB file of views over the partitions, and roll-ups.",
)
def published_mart(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    candidate = lake.candidate(context.run_id)
    manifest = candidate.manifest()
    is_new = candidate.is_new()
    path = candidate.publish()
    left_out = unreadable_files([Unreadable(Path(file), reason) for file, reason in manifest.left_out])
    files = [one for made in manifest.marts.values() for one in made.files]
    metadata: dict[str, Any] = {
        "version": path.name,
        "published": "new version" if is_new else "nothing changed",
        "bytes": path.stat().st_size,
        "partition_files": len(files),
        "partition_bytes": sum(one.bytes for one in files),
    }
    return dg.MaterializeResult(metadata=metadata | left_out)
