"""Append a refresh to those that dashboards show, whatever started it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from data.lake import Lake
from data.refreshes import Refresh, append_refresh, last_refresh
from pipelines.waits import Waits, waits


class Outcome(NamedTuple):
    """Hold what a refresh did, as ``data.refreshes.Refresh`` describes it."""

    succeeded: bool
    failed: Sequence[str]
    warnings: Sequence[str]
    version: str | None
    moved: bool
    listed: bool


def log_refresh(lake: Lake, outcome: Outcome, began: datetime, seconds: float) -> None:
    """Append a refresh with the waits of the requests since the one before. Raises ``OSError``."""
    before = last_refresh(lake, listed=True) if outcome.listed else None
    version = lake.marts / outcome.version if outcome.version and outcome.moved else None
    published = datetime.fromtimestamp(version.stat().st_mtime, UTC) if version and version.exists() else None
    found = waits(lake, before.began, began, published) if before else Waits()
    refresh = Refresh(
        at=began.isoformat(timespec="milliseconds"),
        seconds=round(seconds, 3),
        succeeded=outcome.succeeded,
        failed=tuple(outcome.failed),
        warnings=tuple(outcome.warnings),
        version=outcome.version,
        moved=outcome.moved,
        listed=outcome.listed,
        requests=found.requests,
        lake_wait_s=found.lake_s,
        marts_wait_s=found.marts_s,
    )
    append_refresh(lake, refresh)
