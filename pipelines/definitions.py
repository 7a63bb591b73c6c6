"""Collect the Dagster definitions: assets, checks, the job that runs them all, and its schedule."""

from __future__ import annotations

import dagster as dg

from pipelines.defs.alerts import failed_runs
from pipelines.defs.automation import SCHEDULES
from pipelines.defs.categories import category_classifier
from pipelines.defs.compaction.assets import compacted_requests
from pipelines.defs.decisions import decisions, decisions_by_hour, stale_hours
from pipelines.defs.liveness import dead_runs
from pipelines.defs.log import sealed_requests
from pipelines.defs.publication import published_mart
from pipelines.defs.refresh_log import JOB, refresh_logs
from pipelines.defs.resources import DATA_DIR, LockedLakeResource
from pipelines.defs.retention import expired_requests
from pipelines.defs.run_retention import old_runs
from pipelines.defs.tables import marts
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

MARTS = dg.AssetSelection.assets(sealed_requests, marts, published_mart, compacted_requests, expired_requests)

refresh = dg.define_asset_job(
    JOB,
    selection=MARTS,
    executor_def=dg.in_process_executor,
    description="From the log to published marts.",
)

learning = dg.define_asset_job(
    "learning",
    selection=dg.AssetSelection.all() - MARTS - dg.AssetSelection.assets(decisions, category_classifier),
    executor_def=dg.in_process_executor,
    description="One turn of the loop that selection is learned by. It runs apart, so that no mart waits for training.",
)

defs = dg.Definitions(
    assets=[
        sealed_requests,
        marts,
        published_mart,
        compacted_requests,
        expired_requests,
        decisions,
        category_classifier,
        training_set,
        candidate,
        evaluation_report,
        guardrails,
        promotion,
        kept_artifacts,
    ],
    jobs=[refresh, learning, decisions_by_hour, watch],
    sensors=[stale_hours, learned_serves, dead_runs, failed_runs, old_runs, *refresh_logs],
    schedules=[
        dg.ScheduleDefinition(name="refresh_hourly", job=refresh, cron_schedule="5 * * * *", default_status=SCHEDULES),
        dg.ScheduleDefinition(
            name="learning_hourly", job=learning, cron_schedule="10 * * * *", default_status=SCHEDULES
        ),
    ],
    # A run is one process, also when assets are materialized by hand: a lock or a pool slot that it holds ends with it.
    executor=dg.in_process_executor,
    resources={"lake": LockedLakeResource(data_dir=DATA_DIR)},
)
