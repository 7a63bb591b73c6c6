"""First attempts of the log → success probability and TTFT → a published artifact.

Ahead of the learner stands the level of each endpoint, shrunk towards its provider and the market; the
learner must beat it on TTFT, and the base rate on success, over the last fifth of the time, or nothing
is published.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import polars as pl
import sklearn
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from data.lake import Lake, fsync_folder
from models.selection.features import FEATURES, Candidate, Context, Level, Levels, vectorise
from models.selection.policy import SCHEMA, LearnedPolicy

MIN_ATTEMPTS = 200
HELD_OUT = 0.2
SHRINKAGE = 20.0
PARITY = 1e-4
COLUMNS = ("started_at", "estimated_prompt_tokens", "max_tokens", "stream", "tools", "attempts", "policy")


class TrainReport(NamedTuple):
    """``metrics`` are of the held-out last fifth; ``reason`` says why it was or was not published."""

    version: str | None
    published: bool
    reason: str
    metrics: dict[str, float]


class Sample(NamedTuple):
    """One first attempt; ``ttft_s`` is ``None`` unless a token came."""

    context: Context
    endpoint: str
    provider: str
    success: bool
    ttft_s: float | None


def train(lake: Lake) -> TrainReport:
    """Train on every sealed request, judge on the last fifth in time, publish if it is no worse there."""
    samples = _samples(lake)
    if len(samples) < MIN_ATTEMPTS:
        return TrainReport(None, False, f"not trained: {len(samples)} attempts, {MIN_ATTEMPTS} are needed", {})
    cut = int(len(samples) * (1 - HELD_OUT))
    earlier, later = samples[:cut], samples[cut:]
    if len({s.success for s in earlier}) < 2 or not any(s.ttft_s for s in later):
        return TrainReport(None, False, "not trained: the log holds only successes or only failures", {})
    levels = _levels(earlier)
    success, ttft = _fit(earlier, levels)
    metrics = _judge(success, ttft, later, levels, sum(s.success for s in earlier) / len(earlier))
    if metrics["ttft_error"] > metrics["ttft_error_of_level"] or metrics["brier"] > metrics["brier_of_base_rate"]:
        return TrainReport(None, False, "not published: TTFT or success is predicted no better without it", metrics)
    version = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    _publish(lake, version, [success, ttft], levels, metrics, samples)
    return TrainReport(version, True, "published", metrics)


def _samples(lake: Lake) -> list[Sample]:
    files = sorted(str(path) for path in lake.requests.glob("day=*/*.parquet"))
    if not files:
        return []
    rows = pl.concat([pl.read_parquet(file, columns=list(COLUMNS), hive_partitioning=False) for file in files])
    found = []
    for row in rows.sort("started_at").iter_rows(named=True):
        # Who stays with a conversation's cache answers sooner than it would answer anyone else.
        if row["policy"] == "sticky":
            continue
        first = next(iter(row["attempts"]), None)
        # Neither an answer nor an error: the client left, which says nothing about the endpoint.
        if first is None or (first["error_type"] is None and first["ttft_us"] is None):
            continue
        context = Context(
            row["estimated_prompt_tokens"], row["max_tokens"], row["stream"], row["tools"] > 0, row["started_at"].hour
        )
        ttft_s = first["ttft_us"] / 1e6 if first["ttft_us"] and first["error_type"] is None else None
        found.append(Sample(context, first["endpoint"], first["provider"], first["error_type"] is None, ttft_s))
    return found


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


def _judge(success: Any, ttft: Any, samples: Sequence[Sample], levels: Levels, base_rate: float) -> dict[str, float]:
    """Brier score of success and mean absolute error of ln TTFT, beside those of what needs no learner."""
    answered = [s for s in samples if s.ttft_s]
    truth = np.array([s.success for s in samples], dtype=float)
    logs = np.array([math.log(s.ttft_s or 1.0) for s in answered])
    level = np.array([levels.of(s.endpoint, s.provider) for s in samples])
    level_log = np.array([levels.of(s.endpoint, s.provider).log_ttft for s in answered])
    return {
        "samples": float(len(samples)),
        "brier": float(np.mean((success.predict_proba(_rows(samples, levels))[:, 1] - truth) ** 2)),
        "brier_of_base_rate": float(np.mean((base_rate - truth) ** 2)),
        "brier_of_level": float(np.mean((level[:, 0] - truth) ** 2)),
        "ttft_error": float(np.mean(np.abs(ttft.predict(_rows(answered, levels)) - logs))),
        "ttft_error_of_level": float(np.mean(np.abs(level_log - logs))),
    }


def _publish(
    lake: Lake, version: str, learners: list[Any], levels: Levels, metrics: dict[str, float], samples: list[Sample]
) -> None:
    rows = _rows(samples[-1000:], levels)
    contents = {
        "success.onnx": to_onnx(learners[0], rows[:1], options={"zipmap": False}).SerializeToString(),
        "ttft.onnx": to_onnx(learners[1], rows[:1]).SerializeToString(),
    }
    _check_parity(learners, contents, rows)
    temporary = lake.policies / f"{version}.tmp"
    temporary.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        header = {
            "schema": SCHEMA,
            "version": version,
            "features": [{"name": name, "unit": unit, "source": source} for name, unit, source in FEATURES],
            "levels": {"endpoints": levels.endpoints, "providers": levels.providers, "market": levels.market},
            "attempts": len(samples),
            "metrics": metrics,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            "libraries": {"scikit-learn": sklearn.__version__, "onnxruntime": ort.__version__},
        }
        (temporary / "policy.json").write_text(json.dumps(header, indent=1))
        LearnedPolicy.load(temporary)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    target: Path = lake.policies / version
    os.replace(temporary, target)
    fsync_folder(lake.policies)
    lake.publish_policy(target)


def _check_parity(learners: list[Any], contents: dict[str, bytes], rows: NDArray[np.float32]) -> None:
    """What is served must be what was judged. Raises ``RuntimeError``."""
    expected = (learners[0].predict_proba(rows)[:, 1], learners[1].predict(rows))
    for (name, content), wanted in zip(contents.items(), expected, strict=True):
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        got = session.run(None, {session.get_inputs()[0].name: rows})[-1].reshape(len(rows), -1)[:, -1]
        worst = float(np.max(np.abs(got - wanted)))
        if worst > PARITY:
            raise RuntimeError(f"{name} differs from its learner by {worst:.2g}; nothing was published")
