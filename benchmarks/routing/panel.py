"""Panel replay of thefastest.ai: every provider of a model was measured in every round, so any choice can be judged.

Policies see the whole of each round after it, and may choose a provider from its second round on: there is nothing
to explore. The figures are expectations over a policy's probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from benchmarks.policies.bandits import Ucb1
from benchmarks.policies.baselines import Ewma, Fixed, Oracle, Random, TwoChoicesEwma
from benchmarks.policies.live import LivePolicy
from benchmarks.routing import datasets
from models.selection.decision.arrays import Floats
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.evaluation.intervals import Interval, mean_interval
from models.selection.simulation.simulated_policy import SimulatedPolicy, SimulationState

FOLDER = "thefastest_ai"
COLUMNS = ("run_time", "region", "provider", "model", "ttft")
LEAST_PROVIDERS, LEAST_PRESENT = 4, 2
# Weights of averages of the rounds before, and of averages that see the future: none is the best there could be.
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTEXT = RequestContext(20, 0, True, False, 12)


class Round(NamedTuple):
    """TTFT in s of each provider of a model, measured from a region at the same time."""

    at_s: float
    model: str
    region: str
    ttft_s: dict[str, float]


class PanelResult(NamedTuple):
    """TTFT in s; ``ahead`` is Portolan's advantage over it, s, round by round."""

    policy: str
    mean: Interval
    p50: float
    p95: float
    p99: float
    near_oracle: float  # share within 20 ms of the round's fastest
    ahead: Interval | None


def load(folder: Path) -> list[Round]:
    """Return, from all files in ``folder``, the rounds of models with at least four providers, in time order.

    A provider in a region is one endpoint.
    """
    rows = datasets.read(folder / FOLDER, COLUMNS, try_parse_dates=True)
    rows = rows.unique().sort("run_time", "model", "region", "provider")
    rows = rows.filter(pl.col("provider").n_unique().over("model") >= LEAST_PROVIDERS)
    return [
        Round(
            time.timestamp(),
            model,
            region,
            dict(group.group_by("provider").agg(pl.col("ttft").min()).sort("provider").rows()),
        )
        for (time, model, region), group in rows.group_by("run_time", "model", "region", maintain_order=True)
    ]


def table(rounds: list[Round], since_s: float = 0.0) -> list[PanelResult]:
    """Judged on the rounds from ``since_s`` on; all of them are learned from."""
    policies: list[Callable[[], SimulatedPolicy]] = [
        Random,
        lambda: Ewma(1.0),
        *(partial(Ewma, alpha) for alpha in ALPHAS),
        TwoChoicesEwma,
        Ucb1,
        LivePolicy,
        lambda: _best_fixed(rounds),
        *(partial(BothSides, rounds, alpha) for alpha in ALPHAS),
        Oracle,
    ]
    found = {}
    for make in policies:
        policy = make()
        found[policy.name] = _replay(rounds, policy, since_s)
    ours = found[LivePolicy().name][0]
    return [
        PanelResult(
            name,
            mean_interval(mean, block.astype(np.int64)),
            *_quantiles(ttft, weight),
            float(near.mean()),
            None if name == LivePolicy().name else mean_interval(mean - ours, block.astype(np.int64)),
        )
        for name, (mean, block, ttft, weight, near) in found.items()
    ]


def _replay(rounds: list[Round], policy: SimulatedPolicy, since_s: float) -> tuple[Floats, ...]:
    means, blocks, ttfts, weights, near = [], [], [], [], []
    seen: set[str] = set()
    # A block is a round in a region: its models were measured together.
    blocked: dict[tuple[float, str], int] = {}
    for one in rounds:
        measured = {_candidate(one, name): ttft for name, ttft in one.ttft_s.items()}
        candidates = [candidate for candidate in measured if candidate.endpoint in seen]
        if len(candidates) >= LEAST_PRESENT and one.at_s >= since_s:
            truth = [measured[candidate] for candidate in candidates]
            chances = np.array(policy.choose(CONTEXT, candidates, SimulationState(one.at_s, [0] * len(truth), truth)))
            means.append(float(chances @ truth))
            blocks.append(blocked.setdefault((one.at_s, one.region), len(blocked)))
            ttfts += truth
            weights += chances.tolist()
            near.append(float(chances @ (np.array(truth) <= min(truth) + 0.02)))
        for candidate, ttft in measured.items():
            seen.add(candidate.endpoint)
            policy.observe(AttemptObservation(one.at_s, candidate.endpoint, candidate.provider, "success", ttft, ttft))
    return tuple(np.array(column) for column in (means, blocks, ttfts, weights, near))


class BothSides:
    """An average of ln TTFT over the rounds before and after, that one itself left out, weighted as an EWMA weights
    those before. Nobody can know the rounds after: a mark for what estimates of levels gain, and no bound."""

    def __init__(self, rounds: list[Round], alpha: float) -> None:
        self.name = both_sides(alpha)
        series: dict[str, list[tuple[float, float]]] = {}
        for one in rounds:
            for name, ttft in one.ttft_s.items():
                series.setdefault(_candidate(one, name).endpoint, []).append((one.at_s, math.log(ttft)))
        self._levels: dict[tuple[str, float], float] = {}
        for endpoint, seen in series.items():
            logs, places = np.array([log for _, log in seen]), np.arange(len(seen))
            weights = (1.0 - alpha) ** np.abs(places[:, None] - places)
            np.fill_diagonal(weights, 0.0)
            levels = weights @ logs / np.maximum(weights.sum(axis=1), 1e-9)
            self._levels |= {(endpoint, at_s): float(level) for (at_s, _), level in zip(seen, levels, strict=True)}

    def choose(
        self, _: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        levels = [self._levels[candidate.endpoint, state.now_s] for candidate in candidates]
        return [float(place == levels.index(min(levels))) for place in range(len(levels))]

    def observe(self, outcome: AttemptObservation) -> None:
        """It has seen all."""


def both_sides(alpha: float) -> str:
    """Name of ``BothSides``."""
    return f"EWMA α={alpha} of both sides (sees the future)"


def _candidate(one: Round, name: str) -> CandidateEndpoint:
    return CandidateEndpoint(f"{name}:{one.model}@{one.region}", f"{name}@{one.region}", 0, 0)


def _best_fixed(rounds: list[Round]) -> Fixed:
    """Per model and region the provider of least mean TTFT among those present in most rounds."""
    seen: dict[tuple[str, str], dict[str, list[float]]] = {}
    for one in rounds:
        for name, ttft in one.ttft_s.items():
            seen.setdefault((one.model, one.region), {}).setdefault(name, []).append(ttft)
    best = []
    for (model, region), providers in seen.items():
        most = max(len(ttfts) for ttfts in providers.values())
        means = {name: float(np.mean(ttfts)) for name, ttfts in providers.items() if len(ttfts) > most / 2}
        best.append(f"{min(means, key=means.__getitem__)}:{model}@{region}")
    return Fixed(frozenset(best))


def _quantiles(ttft: Floats, weight: Floats) -> tuple[float, float, float]:
    order = np.argsort(ttft)
    shares = weight[order].cumsum() / weight.sum()
    p50, p95, p99 = (float(ttft[order][min(int(np.searchsorted(shares, q)), len(ttft) - 1)]) for q in (0.5, 0.95, 0.99))
    return p50, p95, p99
