"""Read from the events of a run what failed and what its checks warn of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster import AssetCheckEvaluation, DagsterEvent


def failures(events: Sequence[DagsterEvent]) -> list[str]:
    """Return the steps and checks that failed, and why a run did not start."""
    failed = [event.step_key or "" for event in events if event.is_step_failure]
    errors = [event.job_failure_data.error for event in events if event.is_job_failure]
    failed += [(error.cause or error).message.strip() for error in errors if error]
    return failed + [one.check_name for one in _checks(events) if not one.passed and one.blocking]


def warnings(events: Sequence[DagsterEvent]) -> list[str]:
    """Return what the marts' checks warn of; a gate that refuses a policy is at its work."""
    found = [one for one in _checks(events) if not one.passed and not one.blocking]
    return [f"{one.check_name}: {one.description}" for one in found if one.description]


def _checks(events: Sequence[DagsterEvent]) -> Iterator[AssetCheckEvaluation]:
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            assert isinstance(event.event_specific_data, AssetCheckEvaluation)
            yield event.event_specific_data
