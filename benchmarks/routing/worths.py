"""Measure the effect of the value of a second: latency, price and failures against price shares."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.policies.baselines import Oracle
from benchmarks.policies.live import LivePolicy
from benchmarks.routing import aims, market
from models.selection.decision.utility import UtilityWeights
from models.selection.evaluation.simulation_metrics import SimulationSummary, summarise
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.scenarios import load_scenario
from models.selection.simulation.simulate import simulate
from models.selection.simulation.simulated_policy import SECONDS_PER_FAILURE, SimulatedPolicy

# The usual worths were chosen on these.
SEEDS, DECISIONS = tuple(range(201, 225)), market.DECISIONS // 2
SCENARIOS = ("calm", "capacity_squeeze")
USD = (0.00001, 0.00003, 0.0001, 0.00016, 0.0003, 0.001)


def lines(scenario: str) -> str:
    """A line of the table for each worth, and for the oracle."""
    healthy = _summary(scenario, partial(InverseSquarePrice, healthy=True))
    policies: list[tuple[str, Callable[[], SimulatedPolicy]]] = [(f"{usd:.5f}", partial(_worth, usd)) for usd in USD]
    text = ""
    for name, make in [*policies, ("oracle", Oracle)]:
        time, price, failures = aims.against(_summary(scenario, make), healthy)
        text += f"| {scenario.replace('_', ' ')} | {name} | {time:+.0%} | {price:+.0%} | {failures:.2f} |\n"
    return text


def _worth(usd: float) -> SimulatedPolicy:
    return LivePolicy(weights=UtilityWeights(usd, usd, SECONDS_PER_FAILURE * usd))


def _summary(scenario: str, make: Callable[[], SimulatedPolicy]) -> SimulationSummary:
    return summarise([simulate(load_scenario(scenario), make(), seed=seed, decisions=DECISIONS) for seed in SEEDS])
