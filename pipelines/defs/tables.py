"""Define the tables of the mart: one asset for each .sql file."""

import dagster as dg

from pipelines.build import TABLES
from pipelines.defs.log import sealed_requests
from pipelines.defs.resources import LakeResource

POOL = "mart"
DESCRIPTIONS = {
    "usage_hourly": ("usage", "Requests, tokens and cost by hour, model, author, provider and app."),
    "latency_hourly": ("latency", "Histograms of TTFT, duration, throughput and overhead by hour, model, provider."),
    "uptime_hourly": ("uptime", "Attempts by outcome, in the reference's definition of uptime."),
    "market_share_weekly": ("market", "Tokens and share by week, author and model."),
    "categories_weekly": ("categories", "Requests and tokens by week, category and model."),
    "summary": ("log", "How many requests the mart stands on."),
}


def _table(name: str) -> dg.AssetsDefinition:
    group, description = DESCRIPTIONS[name]

    @dg.asset(name=name, group_name=group, description=description, deps=[sealed_requests], pool=POOL)
    def table(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        rows = lake.candidate(context.run_id).add(name)
        return dg.MaterializeResult(metadata={"dagster/row_count": rows})

    return table


TABLE_ASSETS = [_table(name) for name in TABLES]
