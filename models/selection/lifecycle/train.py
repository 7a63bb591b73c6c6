"""Train a candidate on the log's first attempts and register it for the gates.

The last fifth of the time is held out: nothing is learned from it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import NamedTuple

import polars as pl

from data.lake import Lake
from data.policies import Lineage, error_sentence, read_state
from models.selection.dataset import decision_log
from models.selection.dataset.point_in_time import EPOCH, MICROSECOND
from models.selection.dataset.samples import build_samples
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.predictive import held_out_metrics
from models.selection.lifecycle.registry import Registry
from models.selection.training.export import export
from models.selection.training.learning import learn

logger = logging.getLogger(__name__)

MIN_ATTEMPTS = 200
# Older decisions say little about providers that change each week, and a million would take minutes to learn from.
WINDOW_DECISIONS = 200_000
HELD_OUT = 0.2
# A champion is worth replacing when the log has grown by a fifth, or in a large log by a fixed number.
GROWTH, MAX_NEW = 0.2, 20_000
LIBRARIES = ("scikit-learn", "skl2onnx", "onnxruntime", "numpy", "polars")


class TrainReport(NamedTuple):
    """Hold the ``version`` of the new candidate, ``None`` without one, and its ``metrics`` on the held-out fifth."""

    version: str | None
    reason: str
    metrics: dict[str, float]


class TrainingSet(NamedTuple):
    """Hold what the next candidate is trained on; ``frame`` has the columns of ``decision_log``.

    It is ``None`` if no candidate is due. ``decisions`` counts those of the log. ``damaged`` counts the rows,
    ``unreadable`` the hours, that are left out.
    """

    frame: pl.DataFrame | None
    decisions: int
    due: bool
    reason: str
    damaged: int = 0
    unreadable: int = 0


def describe_training_set(lake: Lake, force: bool = False) -> TrainingSet:
    """Return whether a new candidate is due and, if so or if ``force`` is set, the last ``WINDOW_DECISIONS``."""
    total = decision_log.count(lake)
    due, reason = _due(Registry(lake, "pipelines"), total)
    if not due and not force:
        # Reading them takes seconds, which each refresh would.
        return TrainingSet(None, total, due, reason)
    log = decision_log.read_counted(lake, last=WINDOW_DECISIONS)
    return TrainingSet(log.frame, total, due, reason, log.damaged, log.unreadable)


def _due(registry: Registry, total: int) -> tuple[bool, str]:
    if total < MIN_ATTEMPTS:
        return False, f"{total} attempts, {MIN_ATTEMPTS} are needed"
    underway = registry.in_state("candidate", "shadow", "canary")
    if underway:
        return False, f"{underway[-1].version} is still {underway[-1].state}"
    before = max((state.lineage.decisions for state in registry.states()), default=0)
    needed = before + min(int(before * GROWTH), MAX_NEW)
    if before and total < needed:
        return False, f"{total} decisions, the next candidate is due at {needed}"
    return True, "due"


def train(lake: Lake, force: bool = False) -> TrainReport:
    """Learn from the log and register a candidate, if one is due or ``force`` is set.

    An exception of training is in the report, and no version is left of it: a challenger that is already on trial is
    judged all the same, and the next training stays due.
    """
    try:
        return _train(lake, force)
    except Exception as error:
        logger.exception("training failed")
        return TrainReport(None, f"not trained: {error_sentence(error)}", {})


def _train(lake: Lake, force: bool) -> TrainReport:
    decision_log.catch_up(lake)
    training_set = describe_training_set(lake, force)
    if training_set.frame is None:
        return TrainReport(None, f"not trained: {training_set.reason}", {})
    samples = build_samples(training_set.frame)
    if len(samples.rows) < MIN_ATTEMPTS:
        few = f"{len(samples.rows)} of {training_set.decisions} attempts are usable, {MIN_ATTEMPTS} are needed"
        return TrainReport(None, f"not trained: {few}", {})
    cut = int(len(samples.rows) * (1 - HELD_OUT))
    earlier, later = samples.part(0, cut), samples.part(cut, len(samples.rows))
    if not all(any(s.ttft_s for s in part.rows) for part in (earlier, later)):
        return TrainReport(None, "not trained: the log holds no answers to learn from, or none to judge by", {})
    held_out_from = later.rows[0].at
    learned = learn(earlier, int((held_out_from - EPOCH) / MICROSECOND))
    version = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    folder = export(lake, version, learned)
    try:
        metrics = held_out_metrics(LearnedPolicy.load(folder), learned, earlier, later)
        metrics |= {"damaged_rows": float(training_set.damaged), "unreadable_hours": float(training_set.unreadable)}
        lineage = _lineage(folder, training_set, training_set.frame["started_at"], held_out_from, metrics)
        Registry(lake, "pipelines").register(version, lineage, f"trained on {training_set.decisions} decisions")
    except BaseException:
        if read_state(lake, version) is None:
            shutil.rmtree(folder)
        raise
    return TrainReport(version, "trained", metrics)


def _lineage(
    folder: Path, training_set: TrainingSet, moments: pl.Series, held_out_from: datetime, metrics: dict[str, float]
) -> Lineage:
    header = json.loads((folder / "policy.json").read_bytes())
    return Lineage(
        data_from=moments[0].isoformat(),
        data_until=moments[-1].isoformat(),
        held_out_from=held_out_from.isoformat(),
        decisions=training_set.decisions,
        code_version=_code_version(),
        libraries={name: version_of(name) for name in LIBRARIES},
        metrics=metrics,
        sha256=header["sha256"] | {"policy.json": hashlib.sha256((folder / "policy.json").read_bytes()).hexdigest()},
    )


def _code_version() -> str:
    """Return the package's version, and the commit when running from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--tags"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version_of("portolan")
    return f"{version_of('portolan')} ({described})"
