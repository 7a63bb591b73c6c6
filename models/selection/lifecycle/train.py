"""First attempts of the log → estimates → an artifact, a candidate that gates then judge.

The last fifth of the time is held out: nothing is learned from it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import NamedTuple

import polars as pl

from data.lake import Lake
from data.policies import Lineage
from models.selection.dataset import decision_log
from models.selection.dataset.point_in_time import EPOCH, MICROSECOND
from models.selection.dataset.samples import build_samples
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.predictive import held_out_metrics as measured
from models.selection.lifecycle.registry import Registry
from models.selection.training.export import export
from models.selection.training.learning import learn

MIN_ATTEMPTS = 200
# Older ones say little of providers that change by the week, and a million would be learned from for minutes.
WINDOW_DECISIONS = 200_000
HELD_OUT = 0.2
# A champion is worth replacing when the log has grown by a fifth; a large log does not wait that long.
GROWTH, MOST_NEW = 0.2, 20_000
LIBRARIES = ("scikit-learn", "skl2onnx", "onnxruntime", "numpy", "polars")


class TrainReport(NamedTuple):
    """``version`` of the new candidate, ``None`` without one; ``metrics`` are of the held-out last fifth."""

    version: str | None
    reason: str
    metrics: dict[str, float]


class TrainingSet(NamedTuple):
    """What the next candidate would be made from; ``frame`` has the columns of ``decision_log``."""

    frame: pl.DataFrame
    decisions: int
    due: bool
    reason: str


def describe_training_set(lake: Lake) -> TrainingSet:
    """The last ``WINDOW_DECISIONS``, and whether there is reason to learn from them now."""
    frame = decision_log.read(lake, last=WINDOW_DECISIONS)
    total = decision_log.count(lake)
    if total < MIN_ATTEMPTS:
        return TrainingSet(frame, total, False, f"{total} attempts, {MIN_ATTEMPTS} are needed")
    registry = Registry(lake, "pipelines")
    underway = registry.in_state("candidate", "shadow", "canary")
    if underway:
        return TrainingSet(frame, total, False, f"{underway[-1].version} is still {underway[-1].state}")
    before = max((state.lineage.decisions for state in registry.states()), default=0)
    needed = before + min(int(before * GROWTH), MOST_NEW)
    if before and total < needed:
        return TrainingSet(frame, total, False, f"{total} decisions, the next candidate is due at {needed}")
    return TrainingSet(frame, total, True, "due")


def train(lake: Lake, force: bool = False) -> TrainReport:
    """Learn from the log and register a candidate, if one is due or ``force`` is set."""
    decision_log.catch_up(lake)
    made_from = describe_training_set(lake)
    found = build_samples(made_from.frame) if made_from.due or force else None
    if found is None or len(found.rows) < MIN_ATTEMPTS:
        return TrainReport(None, f"not trained: {made_from.reason}", {})
    cut = int(len(found.rows) * (1 - HELD_OUT))
    earlier, later = found.part(0, cut), found.part(cut, len(found.rows))
    if not all(any(s.ttft_s for s in part.rows) for part in (earlier, later)):
        return TrainReport(None, "not trained: the log holds no answers to learn from, or none to judge by", {})
    held_out_from = later.rows[0].at
    learned = learn(earlier, int((held_out_from - EPOCH) / MICROSECOND))
    version = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    folder = export(lake, version, learned)
    metrics = measured(LearnedPolicy.load(folder), learned, earlier, later)
    lineage = _lineage(folder, made_from, held_out_from, metrics)
    Registry(lake, "pipelines").register(version, lineage, f"trained on {made_from.decisions} decisions")
    return TrainReport(version, "trained", metrics)


def _lineage(folder: Path, made_from: TrainingSet, held_out_from: datetime, metrics: dict[str, float]) -> Lineage:
    moments = made_from.frame["started_at"]
    header = json.loads((folder / "policy.json").read_bytes())
    return Lineage(
        data_from=moments[0].isoformat(),
        data_until=moments[-1].isoformat(),
        held_out_from=held_out_from.isoformat(),
        decisions=made_from.decisions,
        code_version=_code_version(),
        libraries={name: version_of(name) for name in LIBRARIES},
        metrics=metrics,
        sha256=header["sha256"] | {"policy.json": hashlib.sha256((folder / "policy.json").read_bytes()).hexdigest()},
    )


def _code_version() -> str:
    """The package's version, and the commit where it runs from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--tags"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version_of("portolan")
    return f"{version_of('portolan')} ({described})"
