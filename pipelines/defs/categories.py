"""Define the asset of the category classifier: trained when it is materialized, loaded when a router starts."""

from typing import Any

import dagster as dg

from pipelines.defs.policies import OWNERS, RETRIES
from pipelines.defs.resources import LakeResource


@dg.asset(
    group_name="categories",
    pool="mart",
    owners=OWNERS,
    retry_policy=RETRIES,
    kinds={"onnx"},
    description="The category classifier, from our examples and those of categories/examples in the data directory.",
)
def category_classifier(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.categories.corpus import operators_examples
    from models.categories.train import train_classifier

    folder = lake.lake().categories
    extra = operators_examples(folder / "examples")
    report = train_classifier(folder, extra)
    metadata: dict[str, Any] = {
        "version": report.version,
        "examples": report.examples,
        "temperature": report.temperature,
    }
    return dg.MaterializeResult(metadata=metadata | {"of_the_operator": len(extra)})
