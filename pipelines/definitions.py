"""Collect the Dagster definitions: assets, checks, the job that runs them all, and its schedule."""

from __future__ import annotations

import os

import dagster as dg

from pipelines.defs.categories import category_classifier
from pipelines.defs.decisions import decisions, decisions_by_hour, stale_hours
from pipelines.defs.liveness import dead_runs
from pipelines.defs.log import sealed_requests
from pipelines.defs.publication import candidate_mart, mart_checks, published_mart
from pipelines.defs.resources import LockedLakeResource
from pipelines.defs.tables import TABLE_ASSETS
from pipelines.defs.training import (
    candidate,
    evaluation_report,
    guardrails,
    kept_artifacts,
    learned_serves,
    promotion,
    training_set,
    watch,
)

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(decisions, category_classifier),
    executor_def=dg.in_process_executor,
    description="From the log to a published mart, and one turn of the loop that selection is learned by.",
)

defs = dg.Definitions(
    assets=[
        sealed_requests,
        *TABLE_ASSETS,
        candidate_mart,
        published_mart,
        decisions,
        category_classifier,
        training_set,
        candidate,
        evaluation_report,
        guardrails,
        promotion,
        kept_artifacts,
    ],
    asset_checks=[mart_checks],
    jobs=[refresh, decisions_by_hour, watch],
    sensors=[stale_hours, learned_serves, dead_runs],
    schedules=[dg.ScheduleDefinition(name="refresh_hourly", job=refresh, cron_schedule="5 * * * *")],
    # A run is one process, also when assets are materialized by hand: a lock or a pool slot that it holds ends with it.
    executor=dg.in_process_executor,
    resources={"lake": LockedLakeResource(data_dir=os.environ.get("PORTOLAN_DATA_DIR", "data/var"))},
)
