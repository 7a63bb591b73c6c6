"""``portolan demo-data``: make, replace and remove the synthetic market, in a data directory of its own."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from data.lake import Lake

RECENT_S = 7 * 86_400.0


def make(data_dir: Path, months: int, requests: int) -> str:
    """Make the market that ends now, in place of an earlier one; return a sentence that counts it.

    The marts are made by the usual refresh, as of a moment at which all months have ended: a partition is a month.
    """
    from lab.market.write import fill_demo_lake
    from pipelines.build import build_mart

    target = Lake(data_dir).demo.root
    building = target.with_name(f"demo-{os.getpid()}.tmp")
    began, end = time.monotonic(), datetime.now(UTC)
    try:
        lake = Lake(building)
        written = fill_demo_lake(lake, end, months, requests)
        build_mart(lake, end + timedelta(days=40))
        _replace(target, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    seconds = time.monotonic() - began
    return f"A synthetic market of {written:,} requests in {months} months is in {target} ({seconds:.0f} s)."


def remove(data_dir: Path) -> bool:
    """Remove the market and what interrupted runs have left; false if there was none."""
    target = Lake(data_dir).demo.root
    existed = target.exists()
    _replace(target, None)
    for left in target.parent.glob("demo-*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    return existed


def is_recent(data_dir: Path) -> bool:
    """Return whether a market was made in the last seven days."""
    mart = Lake(data_dir).demo.current_mart()
    return mart is not None and time.time() - mart.stat().st_mtime < RECENT_S


def _replace(target: Path, by: Path | None) -> None:
    """Put the folder ``by`` in the place of ``target``; a reader sees one of them, or none for a moment."""
    old = target.with_name(f"demo-{os.getpid()}-old.tmp")
    if target.exists():
        target.rename(old)
    if by is not None:
        by.rename(target)
    shutil.rmtree(old, ignore_errors=True)
