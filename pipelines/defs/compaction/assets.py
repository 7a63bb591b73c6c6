"""Define the asset of compacted requests."""

import time
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.defs.compaction.compact import compact
from pipelines.defs.policies import OWNERS, RETRIES
from pipelines.defs.publication import published_mart
from pipelines.defs.resources import LakeResource


@dg.asset(
    group_name="log",
    # After publication, which must not wait for it.
    deps=[published_mart],
    pool="mart",
    owners=OWNERS,
    retry_policy=RETRIES,
    kinds={"parquet"},
    description="The same rows in few files: one for a closed hour, one for a closed day.",
)
def compacted_requests(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    begun = time.perf_counter()
    report = compact(lake.lake(), datetime.now(UTC))
    metadata: dict[str, Any] = {
        "files_read": report.read,
        "files_written": report.written,
        "files_deleted": report.deleted,
        "files_skipped": report.left,
        "dagster/row_count": report.rows,
        "seconds": round(time.perf_counter() - begun, 3),
    }
    return dg.MaterializeResult(metadata=metadata)
