"""Partition the marts by day (UTC), from the first day with requests to today."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from datetime import UTC, date, datetime

import dagster as dg

from data.lake import Lake
from pipelines.defs.resources import DATA_DIR


def first_day(lake: Lake) -> date:
    """Return the first day that the lake has a folder of, today if it has none."""
    days = [folder.name.removeprefix("day=") for folder in lake.requests.glob("day=*")]
    return min((found for found in map(_date, days) if found is not None), default=_today())


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    # Days of a clock that was wrong are no partitions.
    return found if EARLIEST <= found <= _today() else None


def _today() -> date:
    return datetime.now(UTC).date()


EARLIEST = date(2020, 1, 1)
# Read when the definitions are loaded: days that an import adds before the first appear when they are loaded again.
DAYS = dg.DailyPartitionsDefinition(start_date=first_day(Lake(DATA_DIR)).isoformat(), end_offset=1)
# A backfill of many days is one run, which reads the lake once. Dagster would warn at each start that this may change.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
ONE_RUN = dg.BackfillPolicy.single_run()
# Each event of a day costs milliseconds in SQLite. A backfill shows older days as done.
SHOWN = 7


def days_of_run(context: dg.AssetExecutionContext) -> list[str] | None:
    """Return the days that a run was asked for, ``None`` for one that makes whatever has changed."""
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    return None


def show_days(context: dg.AssetExecutionContext, assets: Collection[dg.AssetKey], days: Collection[str]) -> None:
    """Show the last ``SHOWN`` of ``days`` as made by a run that was not asked for days."""
    if context.instance.is_ephemeral:
        return
    for day in sorted(days)[-SHOWN:]:
        for asset in assets:
            context.log_event(dg.AssetMaterialization(asset_key=asset, partition=day))
