"""All pipelines once, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from pipelines.definitions import defs
from pipelines.defs.resources import LakeResource

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RefreshReport(NamedTuple):
    """``metadata`` by asset name; ``failed`` names the checks and steps that failed."""

    succeeded: bool
    metadata: dict[str, dict[str, Any]]
    failed: list[str]


def refresh(data_dir: Path, progress: Callable[[str], None]) -> RefreshReport:
    """Run the job ``refresh`` on ``data_dir``. Runs are kept where ``DAGSTER_HOME`` says, if it is set."""
    job = defs.resolve_job_def("refresh")
    resources = {"lake": LakeResource(data_dir=str(data_dir))}
    with dg.DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(run_config=QUIET, instance=instance, raise_on_error=False, resources=resources)
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        name = materialization.asset_key.to_user_string()
        found[name] = {key: value.value for key, value in materialization.metadata.items()}
        progress(f"{name}: {', '.join(f'{key} {value}' for key, value in found[name].items())}")
    failed = [event.step_key or "" for event in result.all_events if event.is_step_failure]
    failed += [e.check_name for e in result.get_asset_check_evaluations() if not e.passed]
    return RefreshReport(result.success, found, failed)
