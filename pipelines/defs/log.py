"""Define the first asset: the sealed requests that a run reads."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from data.record.lake_files import Unreadable
from pipelines.defs.resources import LakeResource

# The log has all.
NAMED = 20


def unreadable_files(files: Sequence[Unreadable]) -> dict[str, Any]:
    """Return the metadata that counts and names the files that a run leaves out."""
    if not files:
        return {"unreadable_files": 0}
    return {"unreadable_files": len(files), "unreadable": "; ".join(map(str, files[:NAMED]))}


@dg.asset(group_name="log", pool="mart", description="Parquet files of the request log, listed once for the whole run.")
def sealed_requests(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    candidate = lake.candidate(context.run_id)
    metadata: dict[str, Any] = {"dagster/row_count": candidate.begin()}
    return dg.MaterializeResult(metadata=metadata | unreadable_files(candidate.unreadable()))
