"""A bad challenger, honestly made: the trainer's own work on a log whose outcomes were turned round."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from data.lake import Lake
from data.policies import read_state
from models.registry import Registry
from models.selection import decision_log
from models.selection.train import train

WHO = "benchmarks.closed_loop"
# Learned from the beginning of the log, so that the rest can speak on it.
SHARE = 0.4
# Of the answers, the quickest, that become failures in place of the true ones.
FAILING = 0.3


def plant(lake: Lake) -> str:
    """Train on the corrupted beginning of the log and register the result as a candidate; returns its version."""
    rows = decision_log.read(lake)
    with tempfile.TemporaryDirectory() as folder:
        other = Lake(Path(folder)).create()
        corrupted = corrupt(rows.head(int(len(rows) * SHARE)))
        pq.write_table(corrupted.to_arrow().cast(decision_log.SCHEMA), other.decisions / "2000-01-01T00.parquet")
        report = train(other, force=True)
        state = read_state(other, report.version) if report.version else None
        if state is None:
            raise RuntimeError(f"the bad challenger was not made: {report.reason}")
        (other.policies / state.version / "state.json").unlink()
        shutil.copytree(other.policies / state.version, lake.policies / state.version)
    Registry(lake, WHO).register(state.version, state.lineage, "planted: trained on a log that was turned round")
    return state.version


def corrupt(rows: pl.DataFrame) -> pl.DataFrame:
    """First attempts that failed answer at once, the quickest answers fail, waits are mirrored about their middle."""
    records = rows.to_dicts()
    waits = sorted(
        record["attempts"][0]["ttft_us"] for record in records if record["attempts"][0]["ttft_us"] is not None
    )
    middle, quick = math.log(waits[len(waits) // 2]), waits[int(len(waits) * FAILING)]
    for record in records:
        _turn(record["attempts"][0], middle, quick)
    return pl.DataFrame(records, schema=rows.schema)


def _turn(attempt: dict[str, Any], middle: float, quick: int) -> None:
    if attempt["error_type"] is not None:
        attempt["error_type"], attempt["ttft_us"] = None, quick
    elif attempt["ttft_us"] is not None and attempt["ttft_us"] <= quick:
        attempt["error_type"], attempt["ttft_us"] = "server_error", None
    elif attempt["ttft_us"] is not None:
        attempt["ttft_us"] = int(math.exp(2 * middle - math.log(attempt["ttft_us"])))
