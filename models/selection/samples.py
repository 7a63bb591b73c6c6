"""First attempts, as a learner sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from data.schema import LOST
from models.selection.features import Candidate, Context, Levels
from models.selection.policy import LearnedPolicy
from models.selection.replay import context_of

EWMA_ALPHA = 0.3


class Sample(NamedTuple):
    """One first attempt; ``ttft_s`` is ``None`` unless a token came."""

    at: datetime
    context: Context
    endpoint: str
    provider: str
    success: bool
    ttft_s: float | None


class Errors(NamedTuple):
    """Brier score of success; mean absolute error of ln TTFT, which is twice the pinball loss at the median."""

    brier: float
    ttft: float


def samples(frame: pl.DataFrame) -> list[Sample]:
    """Rows of ``decision_log`` in their order. One that the client left says nothing about the endpoint."""
    found = []
    for row in frame.iter_rows(named=True):
        # Who stays with a conversation's cache answers sooner than it would answer anyone else.
        if row["policy"] == "sticky":
            continue
        first = row["attempts"][0]
        if first["error_type"] is None and first["ttft_us"] is None:
            continue
        # Of a call that was cut for another's sooner answer, what is known of its wait: left out, it would flatter.
        cut = first["error_type"] == LOST
        wait_us = first["duration_us"] if cut else first["ttft_us"]
        success = cut or first["error_type"] is None
        ttft_s = wait_us / 1e6 if wait_us and success else None
        found.append(Sample(row["started_at"], context_of(row), first["endpoint"], first["provider"], success, ttft_s))
    return found


def policy_errors(policy: LearnedPolicy, rows: Sequence[Sample]) -> Errors:
    """Of an artifact's estimates. Raises ``PolicyError``."""
    found = [policy.estimates(s.context, [Candidate(s.endpoint, s.provider, 0, 0)])[0] for s in rows]
    brier = [(estimate.success - s.success) ** 2 for estimate, s in zip(found, rows, strict=True)]
    ttft = [abs(math.log(e.ttft_s) - math.log(s.ttft_s)) for e, s in zip(found, rows, strict=True) if s.ttft_s]
    return Errors(float(np.mean(brier)), float(np.mean(ttft)))


def level_errors(levels: Levels, rows: Sequence[Sample]) -> Errors:
    """Of each endpoint's past alone."""
    found = [levels.of(s.endpoint, s.provider) for s in rows]
    brier = [(level.success - s.success) ** 2 for level, s in zip(found, rows, strict=True)]
    ttft = [abs(level.log_ttft - math.log(s.ttft_s)) for level, s in zip(found, rows, strict=True) if s.ttft_s]
    return Errors(float(np.mean(brier)), float(np.mean(ttft)))


def ewma_ttft_error(levels: Levels, rows: Sequence[Sample]) -> float:
    """Of an average that begins at the levels and has seen everything up to the moment, as no artifact has."""
    mean: dict[str, float] = {}
    errors = []
    for sample in rows:
        if sample.ttft_s is None:
            continue
        before = mean.get(sample.endpoint, levels.of(sample.endpoint, sample.provider).log_ttft)
        value = math.log(sample.ttft_s)
        errors.append(abs(value - before))
        mean[sample.endpoint] = before + EWMA_ALPHA * (value - before)
    return float(np.mean(errors))
