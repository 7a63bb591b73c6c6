"""Define the asset of requests and decisions that have been deleted for their age."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.defs.compaction.assets import compacted_requests
from pipelines.defs.policies import OWNERS, RETRIES
from pipelines.defs.resources import LakeResource
from pipelines.retention import delete_expired, retention_from_environment


@dg.asset(
    group_name="log",
    deps=[compacted_requests],
    pool="mart",
    owners=OWNERS,
    retry_policy=RETRIES,
    description="Requests and decisions older than PORTOLAN_LAKE_DAYS, which are deleted.",
)
def expired_requests(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    settings = retention_from_environment()
    metadata: dict[str, Any] = {
        "files_deleted": len(delete_expired(lake.lake(), datetime.now(UTC), settings)),
        "days_kept": settings.lake_days or "all",
    }
    return dg.MaterializeResult(metadata=metadata)
