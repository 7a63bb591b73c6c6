"""First attempts of the log → success probability and TTFT → an artifact, a candidate that gates then judge.

Ahead of the learner stands the level of each endpoint, shrunk towards its provider and the market. The last
fifth of the time is held out: nothing is learned from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import polars as pl
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from data.lake import Lake, fsync_folder
from data.policies import Lineage
from models.registry import Registry
from models.selection import decision_log
from models.selection.features import FEATURES, Candidate, Level, Levels, vectorise
from models.selection.policy import PARITY, SCHEMA, LearnedPolicy
from models.selection.samples import Sample, ewma_ttft_error, level_errors, policy_errors, samples

MIN_ATTEMPTS = 200
# Older ones say little of providers that change by the week, and a million would be learned from for minutes.
WINDOW_DECISIONS = 200_000
HELD_OUT = 0.2
SHRINKAGE = 20.0
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


def training_set(lake: Lake) -> TrainingSet:
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
    made_from = training_set(lake)
    rows = samples(made_from.frame)
    if not (made_from.due or force) or len(rows) < MIN_ATTEMPTS:
        return TrainReport(None, f"not trained: {made_from.reason}", {})
    cut = int(len(rows) * (1 - HELD_OUT))
    earlier, later = rows[:cut], rows[cut:]
    if len({s.success for s in earlier}) < 2 or not any(s.ttft_s for s in later):
        return TrainReport(None, "not trained: the log holds only successes or only failures", {})
    levels = _levels(earlier)
    success, ttft = _fit(earlier, levels)
    version = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    content = _Artifact(version, levels, success, ttft, rows[-1000:])
    folder = content.write(lake)
    metrics = _judge(LearnedPolicy.load(folder), later, levels, sum(s.success for s in earlier) / len(earlier))
    lineage = _lineage(folder, made_from, later[0].at, metrics)
    Registry(lake, "pipelines").register(version, lineage, f"trained on {made_from.decisions} decisions")
    return TrainReport(version, "trained", metrics)


def _levels(samples: Sequence[Sample]) -> Levels:
    market = _level(samples, Level(0.95, 0.0))
    by_provider: dict[str, list[Sample]] = defaultdict(list)
    by_endpoint: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_provider[sample.provider].append(sample)
        by_endpoint[sample.endpoint].append(sample)
    providers = {name: _level(rows, market) for name, rows in by_provider.items()}
    endpoints = {name: _level(rows, providers[rows[0].provider]) for name, rows in by_endpoint.items()}
    return Levels(endpoints, providers, market)


def _level(samples: Sequence[Sample], peer: Level) -> Level:
    """Means shrunk towards ``peer`` by n / (n + ``SHRINKAGE``)."""
    logs = [math.log(s.ttft_s) for s in samples if s.ttft_s]
    success = (sum(s.success for s in samples) + SHRINKAGE * peer.success) / (len(samples) + SHRINKAGE)
    return Level(success, (sum(logs) + SHRINKAGE * peer.log_ttft) / (len(logs) + SHRINKAGE))


def _rows(samples: Sequence[Sample], levels: Levels) -> NDArray[np.float32]:
    rows = [vectorise(s.context, [Candidate(s.endpoint, s.provider, 0, 0)], levels)[0] for s in samples]
    return np.asarray(rows, dtype=np.float32).reshape(len(rows), len(FEATURES))


def _fit(samples: Sequence[Sample], levels: Levels) -> tuple[Any, Any]:
    answered = [s for s in samples if s.ttft_s]
    success = LogisticRegression(max_iter=1000).fit(_rows(samples, levels), [int(s.success) for s in samples])
    ttft = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=80, max_depth=4, early_stopping=True, n_iter_no_change=5, random_state=0
    )
    ttft.fit(_rows(answered, levels), [math.log(s.ttft_s or 1.0) for s in answered])
    return success, ttft


def _judge(policy: LearnedPolicy, rows: Sequence[Sample], levels: Levels, base_rate: float) -> dict[str, float]:
    """Errors of what will be served, beside those of what needs no learner."""
    ours, level = policy_errors(policy, rows), level_errors(levels, rows)
    return {
        "samples": float(len(rows)),
        "brier": ours.brier,
        "brier_of_base_rate": float(np.mean([(base_rate - s.success) ** 2 for s in rows])),
        "brier_of_level": level.brier,
        "ttft_error": ours.ttft,
        "ttft_error_of_level": level.ttft,
        "ttft_error_of_ewma": ewma_ttft_error(levels, rows),
    }


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


class _Artifact(NamedTuple):
    """``rows`` are those that the exported models are compared on with the learners."""

    version: str
    levels: Levels
    success: Any
    ttft: Any
    rows: Sequence[Sample]

    def write(self, lake: Lake) -> Path:
        """The finished folder. Raises ``RuntimeError`` where what is exported is not what was learned."""
        inputs = _rows(self.rows, self.levels)
        contents = {
            "success.onnx": to_onnx(self.success, inputs[:1], options={"zipmap": False}).SerializeToString(),
            "ttft.onnx": to_onnx(self.ttft, inputs[:1]).SerializeToString(),
        }
        parity = _parity([self.success, self.ttft], contents, inputs)
        temporary = lake.policies / f"{self.version}.tmp"
        temporary.mkdir(parents=True)
        try:
            for name, content in contents.items():
                (temporary / name).write_bytes(content)
            (temporary / "policy.json").write_text(json.dumps(self._header(contents, parity), indent=1))
            LearnedPolicy.load(temporary)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        target = lake.policies / self.version
        os.replace(temporary, target)
        fsync_folder(lake.policies)
        return target

    def _header(self, contents: dict[str, bytes], parity: float) -> dict[str, Any]:
        levels = self.levels
        return {
            "schema": SCHEMA,
            "version": self.version,
            "features": [{"name": name, "unit": unit, "source": source} for name, unit, source in FEATURES],
            "levels": {"endpoints": levels.endpoints, "providers": levels.providers, "market": levels.market},
            "metrics": {"parity": parity},
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }


def _parity(learners: list[Any], contents: dict[str, bytes], rows: NDArray[np.float32]) -> float:
    """What is served must be what was learned: the largest difference. Raises ``RuntimeError``."""
    expected = (learners[0].predict_proba(rows)[:, 1], learners[1].predict(rows))
    largest = 0.0
    for (name, content), wanted in zip(contents.items(), expected, strict=True):
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        got = session.run(None, {session.get_inputs()[0].name: rows})[-1].reshape(len(rows), -1)[:, -1]
        worst = float(np.max(np.abs(got - wanted)))
        if worst > PARITY:
            raise RuntimeError(f"{name} differs from its learner by {worst:.2g}; nothing was registered")
        largest = max(largest, worst)
    return largest
