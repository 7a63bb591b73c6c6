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


@dg.asset(
    group_name="log", pool="mart", owners=["team:data"], description="Parquet files of the request log, as sealed."
)
def sealed_requests(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    listed = lake.candidate(context.run_id).begin()
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(file.rows for file in listed.files),
        "files": len(listed.files),
        "footers_read": len(listed.opened),
    }
    return dg.MaterializeResult(metadata=metadata | unreadable_files(listed.unreadable))
