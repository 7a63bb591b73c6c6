"""The selection policy, trained on the same log."""

from typing import Any

import dagster as dg

from pipelines.defs.publication import published_mart
from pipelines.defs.resources import LakeResource


@dg.asset(
    group_name="training",
    deps=[published_mart],
    description="Success and TTFT of first attempts, learned; published when better than simple levels.",
)
def selection_policy(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.train import train

    report = train(lake.lake())
    metadata: dict[str, Any] = {"version": report.version or "-", "published": report.published}
    return dg.MaterializeResult(metadata=metadata | {"reason": report.reason} | report.metrics)
