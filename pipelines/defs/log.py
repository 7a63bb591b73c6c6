"""Define the first asset: the sealed requests that a run reads."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from data.record.columns import declared_columns
from data.record.lake_files import Unreadable
from data.record.record import Record
from pipelines.defs.policies import OWNERS, RETRIES
from pipelines.defs.resources import LakeResource

# The log has all.
NAMED = 20


def unreadable_files(files: Sequence[Unreadable]) -> dict[str, Any]:
    """Return the metadata that counts and names the files that a run leaves out."""
    if not files:
        return {"unreadable_files": 0}
    return {"unreadable_files": len(files), "unreadable": "; ".join(map(str, files[:NAMED]))}


_COLUMNS = [
    dg.TableColumn(name, str(kind), f"{column.description}{f' ({column.unit})' if column.unit else ''}")
    for name, kind, _, column in declared_columns(Record)
]


@dg.asset(
    group_name="log",
    pool="mart",
    owners=OWNERS,
    retry_policy=RETRIES,
    kinds={"parquet"},
    description="Parquet files of the request log, as sealed.",
    metadata={"dagster/column_schema": dg.TableSchema(columns=_COLUMNS)},
)
def sealed_requests(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    listed = lake.candidate(context.run_id).begin()
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(file.rows for file in listed.files),
        "files": len(listed.files),
        "footers_read": len(listed.opened),
    }
    return dg.MaterializeResult(metadata=metadata | unreadable_files(listed.unreadable))
