"""Bandit replay of LLMPerf's single requests: one provider is called, only its answer is seen.

Rows are drawn with replacement per provider; loss is TTFT in s, an error counts 10 s, a step is a second. In the
drifting variant the best provider has four times the TTFT and 50 % errors in two of five stretches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from benchmarks.policies.bandits import EpsilonGreedy, Ucb1
from benchmarks.policies.baselines import Ewma, Fixed, LatencyAverage, Oracle, Random, TwoChoicesEwma
from benchmarks.policies.live import LivePolicy
from benchmarks.routing import datasets
from models.selection.decision.arrays import Floats
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.utility import USD_PER_SECOND, UtilityWeights
from models.selection.evaluation.intervals import Interval, mean_interval
from models.selection.simulation.simulated_policy import SimulatedPolicy, SimulationState

FOLDER, LEAST_PROVIDERS = "llmperf", 4
# Constants of ``LivePolicy`` were chosen on the draws of seeds 0 to 79 from ``CHOSEN_ON``.
CHOSEN_ON = "llama-2-13b-chat"
STEPS, SEEDS, WINDOW = 3000, tuple(range(100, 140)), 200
# What an error counts in the study whose figures are known for these rows.
ERROR_S = 10.0
WORSE = ((600, 1200), (1800, 2400))
CONTEXT = RequestContext(550, 0, True, False, 12)
# Every policy learns from the loss that it is judged by; ours is told by its wish what an error is worth.
WISH = UtilityWeights(failure=ERROR_S * USD_PER_SECOND)
POLICIES: tuple[Callable[[], SimulatedPolicy], ...] = (
    Random,
    Ucb1,
    lambda: Ucb1(discount=0.995),
    EpsilonGreedy,
    lambda: Ewma(1.0, 0.05),
    lambda: Ewma(0.3, 0.05),
    TwoChoicesEwma,
    LatencyAverage,
    lambda: LivePolicy(weights=WISH),
)


class RowsResult(NamedTuple):
    """Mean loss in s; ``ahead`` is Portolan's advantage over it, s, on the same draws."""

    policy: str
    loss: Interval
    ahead: Interval | None


def load(folder: Path) -> dict[str, dict[str, Floats]]:
    """By model with at least four providers, losses of each provider's rows, s, of all files there.

    Failed rows carry a TTFT of 0 in the file, which is not one.
    """
    columns = ("model", "provider", "error_code", "ttft_s")
    rows = datasets.read(folder / FOLDER, columns, schema_overrides={"error_code": pl.Float64})
    failed = pl.col("error_code").fill_null(0) != 0
    rows = rows.with_columns(loss=pl.when(failed).then(ERROR_S).otherwise(pl.col("ttft_s")))
    found: dict[str, dict[str, Floats]] = {}
    for (model, provider), group in sorted(rows.group_by("model", "provider")):
        found.setdefault(str(model), {})[str(provider)] = group["loss"].to_numpy()
    return {model: losses for model, losses in found.items() if len(losses) >= LEAST_PROVIDERS}


def table(rows: dict[str, Floats], drifting: bool) -> list[RowsResult]:
    losses = {
        policy().name: np.concatenate([_replay(rows, policy(), s, drifting) for s in SEEDS])
        for policy in (*POLICIES, lambda: _best_fixed(rows, drifting), Oracle)
    }
    drawn = [_draw(rows, seed, drifting) for seed in SEEDS]
    windows = [d.reshape(-1, WINDOW, d.shape[1]).mean(axis=1).min(axis=1).repeat(WINDOW) for d in drawn]
    losses[f"best per {WINDOW} requests"] = np.concatenate(windows)
    block = np.arange(len(SEEDS) * STEPS) // WINDOW
    ours = losses[LivePolicy().name]
    return [
        RowsResult(name, mean_interval(loss, block), None if loss is ours else mean_interval(loss - ours, block))
        for name, loss in losses.items()
    ]


def _draw(rows: dict[str, Floats], seed: int, drifting: bool) -> Floats:
    """Every provider's loss at every step: (steps, providers)."""
    rng = np.random.default_rng([seed, 5])
    drawn = np.stack([rng.choice(losses, STEPS) for losses in rows.values()], axis=1)
    failed = rng.random(STEPS) < 0.5
    if drifting:
        best = int(np.argmin([losses.mean() for losses in rows.values()]))
        for start, end in WORSE:
            worse = np.minimum(drawn[start:end, best] * 4, ERROR_S)
            drawn[start:end, best] = np.where(failed[start:end], ERROR_S, worse)
    return drawn


def _best_fixed(rows: dict[str, Floats], drifting: bool) -> Fixed:
    means = np.mean([_draw(rows, seed, drifting).mean(axis=0) for seed in SEEDS], axis=0)
    return Fixed(frozenset([list(rows)[int(means.argmin())]]))


def _replay(rows: dict[str, Floats], policy: SimulatedPolicy, seed: int, drifting: bool) -> Floats:
    candidates = [CandidateEndpoint(provider, provider, 0, 0) for provider in rows]
    drawn = _draw(rows, seed, drifting)
    uniforms = np.random.default_rng([seed, 6]).random(STEPS)
    found = np.empty(STEPS)
    idle = [0] * len(candidates)
    for step in range(STEPS):
        losses = drawn[step].tolist()
        chances = policy.choose(CONTEXT, candidates, SimulationState(float(step), idle, losses))
        place = min(int(np.searchsorted(np.cumsum(chances), uniforms[step], side="right")), len(losses) - 1)
        found[step] = loss = losses[place]
        failed = loss >= ERROR_S
        name = candidates[place].endpoint
        policy.observe(
            AttemptObservation(step + 0.5, name, name, "error" if failed else "success", loss, None if failed else loss)
        )
    return found
