"""Summarise simulated runs: outcomes for clients, cost of exploration, and time to adapt to an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.selection.evaluation.intervals import Interval, mean_interval
from models.selection.simulation.market import SimulatedEndpoint
from models.selection.simulation.scenarios import Scenario, ScenarioEvent, struck_endpoints
from models.selection.simulation.simulate import SimulationRun

BLOCK_S = 60.0
ROLLING = 20


class SimulationSummary(NamedTuple):
    """Hold means over the answered requests for times (s) and price (USD), over all requests for the rest."""

    utility_usd: Interval
    time_to_500_s: float
    ttft_mean_s: float
    ttft_p50_s: float
    ttft_p95_s: float
    ttft_p99_s: float
    first_failed: Interval
    unanswered: float
    price_usd: float
    exploring_usd: float
    regret_usd: float


class Adaptation(NamedTuple):
    """Hold requests of the model until adaptation, averaged over models and runs.

    ``None`` stands where there was nothing to adapt to. A model whose policy never adapted counts with all requests
    that remained; the ``censored`` fields are the share of such models.
    """

    leave: float | None
    leave_censored: float
    find: float | None
    find_censored: float


def summarise(runs: Sequence[SimulationRun]) -> SimulationSummary:
    """Summarise runs of one policy in one scenario by different seeds."""
    blocks = blocks_of(runs)

    def pooled(name: str) -> NDArray[np.float64]:
        return np.concatenate([run.column(name) for run in runs])

    ttft = pooled("ttft_s")
    answered = ~np.isnan(ttft)
    p50, p95, p99 = np.quantile(ttft[answered], [0.5, 0.95, 0.99])
    return SimulationSummary(
        utility_usd=mean_interval(pooled("utility_usd"), blocks),
        time_to_500_s=float(pooled("time_to_500_s")[answered].mean()),
        ttft_mean_s=float(ttft[answered].mean()),
        ttft_p50_s=float(p50),
        ttft_p95_s=float(p95),
        ttft_p99_s=float(p99),
        first_failed=mean_interval(pooled("first_failed"), blocks),
        unanswered=float(1 - answered.mean()),
        price_usd=float(pooled("price_usd")[answered].mean()),
        exploring_usd=float(pooled("exploring_usd").mean()),
        regret_usd=float(pooled("regret_usd").mean()),
    )


def blocks_of(runs: Sequence[SimulationRun]) -> NDArray[np.int64]:
    """Return blocks of ``BLOCK_S`` simulated seconds, those of different runs apart."""
    return np.concatenate(
        [run.column("time_s").astype(np.int64) // int(BLOCK_S) + number * 10**9 for number, run in enumerate(runs)]
    )


def paired_gain(runs: Sequence[SimulationRun], others: Sequence[SimulationRun]) -> Interval:
    """Return mean utility of ``runs`` minus that of ``others`` in USD, request by request, seeds in the same order."""
    differences = [
        run.column("utility_usd") - other.column("utility_usd") for run, other in zip(runs, others, strict=True)
    ]
    return mean_interval(np.concatenate(differences), blocks_of(runs))


def watched_endpoints(scenario: Scenario, market: Sequence[SimulatedEndpoint]) -> dict[int, int]:
    """Return per model the endpoint whose probability shows adaptation.

    That is the changed endpoint, or the best one of a changed region.
    """
    found: dict[int, int] = {}
    for event in scenario.events:
        if event.watch:
            struck = sorted(struck_endpoints(event, market), key=lambda place: market[place].typical_loss_s)
            for place in struck:
                found.setdefault(market[place].model, place)
    return found


def adaptation(runs: Sequence[SimulationRun]) -> Adaptation:
    """Count requests until the policy leaves a worse endpoint, and until it finds a better one.

    It has left when the rolling probability is under half of what it was before the event. It has found the endpoint
    when that is at least half of the share in which the endpoint is truly the best from then on.
    """
    leaves: list[tuple[float, bool]] = []
    finds: list[tuple[float, bool]] = []
    for run in runs:
        event = next((event for event in run.scenario.events if event.watch), None)
        if event is None:
            continue
        for model, place in watched_endpoints(run.scenario, run.market).items():
            rows = run.column("model") == model
            _leave(event, run, rows, leaves)
            _find(event, run, rows, place, finds)
    return Adaptation(*_mean(leaves), *_mean(finds))


def _leave(event: ScenarioEvent, run: SimulationRun, rows: NDArray[np.bool_], found: list[tuple[float, bool]]) -> None:
    if _is_better(event) or event.quantity == "present":
        return
    chances = run.column("watched")[rows]
    start, end = (_place(run, rows, share) for share in (event.start, event.end))
    before = float(chances[:start][-max(start // 3, 1) :].mean())
    if before >= 0.2:
        found.append(_until(_rolling(chances, start, end) < before / 2))


def _find(
    event: ScenarioEvent, run: SimulationRun, rows: NDArray[np.bool_], place: int, found: list[tuple[float, bool]]
) -> None:
    chances, best = run.column("watched")[rows], run.column("best")[rows] == place
    if not _is_better(event) and event.end >= 1:
        return
    start = _place(run, rows, event.start if _is_better(event) else event.end)
    if start < len(chances):
        share = float(best[start:].mean())
        if share >= 0.2:
            found.append(_until(_rolling(chances, start, len(chances)) >= share / 2))


def _place(run: SimulationRun, rows: NDArray[np.bool_], share: float) -> int:
    """Return the index of the model's first request after ``share`` of the run's time."""
    return int(np.searchsorted(run.column("time_s")[rows], share * run.duration_s))


def _is_better(event: ScenarioEvent) -> bool:
    return event.quantity == "price" and event.value < 1


def _rolling(chances: NDArray[np.float64], start: int, end: int) -> NDArray[np.float64]:
    """Return the mean of the last ``ROLLING`` probabilities at each request from ``start`` on."""
    sums = np.concatenate([[0.0], chances.cumsum()])
    last = np.arange(start + 1, end + 1)
    first = np.maximum(last - ROLLING, 0)
    means: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return means


def _until(reached: NDArray[np.bool_]) -> tuple[float, bool]:
    """Return the requests until the first that is reached; all of them, censored, where none is."""
    return (float(reached.argmax()), False) if reached.any() else (float(len(reached)), True)


def _mean(found: Sequence[tuple[float, bool]]) -> tuple[float | None, float]:
    if not found:
        return None, 0.0
    return sum(count for count, _ in found) / len(found), sum(late for _, late in found) / len(found)
