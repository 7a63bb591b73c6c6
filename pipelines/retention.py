"""Delete the requests and decisions that are older than the settings say."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from data.lake import Lake
from data.record.lake_index import drop_index
from data.record.origin import HOUR_FORMAT


class RetentionSettings(NamedTuple):
    """Set for how many days requests and decisions are kept; ``None`` keeps them for good.

    Marts stay: they are made of counts, and an hour that the lake no longer has keeps the rows made from it.
    """

    lake_days: int | None = None

    def first_kept(self, now: datetime) -> str | None:
        """Return the first day (UTC, ``2026-11-17``) that is kept at ``now``, ``None`` if all are."""
        return None if self.lake_days is None else f"{now - timedelta(days=self.lake_days):%Y-%m-%d}"


def retention_from_environment() -> RetentionSettings:
    """Read ``PORTOLAN_LAKE_DAYS``. Raises ``ValueError`` with a sentence that says what to change."""
    text = os.environ.get("PORTOLAN_LAKE_DAYS", "").strip()
    if not text:
        return RetentionSettings()
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise ValueError(f"PORTOLAN_LAKE_DAYS must be a whole number of days from 1 to 36500, not {text}")
    return RetentionSettings(int(text))


def delete_expired(lake: Lake, now: datetime, settings: RetentionSettings) -> list[Path]:
    """Delete the requests and decisions of days before the first kept one; return their files. Hold the build lock."""
    first = settings.first_kept(now)
    if first is None:
        return []
    folders = [folder for folder in lake.requests.glob("day=*") if _day(folder) < first]
    deleted = [path for folder in folders for path in sorted(folder.glob("*.parquet"))]
    deleted += [path for path in lake.decisions.glob("*.parquet") if path.stem < first and _is_hour(path.stem)]
    for path in deleted:
        lake.storage.delete(lake.key(path))
    for folder in folders:
        drop_index(lake, folder.name)
    return deleted


def _day(folder: Path) -> str:
    return folder.name.removeprefix("day=")


def _is_hour(text: str) -> bool:
    try:
        datetime.strptime(text, HOUR_FORMAT)
    except ValueError:
        return False
    return True
