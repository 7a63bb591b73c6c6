"""A policy through the simulated market against another: is it worse in any scenario? Simulation, not the log.

An artifact knows the endpoints of its log, none of the simulator's. So its models are given levels of the
simulated endpoints, as the trainer would measure them in quiet times, and see what comes of their own choices.
What is tried is the learned decision, not the learned levels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.priors import Moments, PriorHierarchy
from models.selection.evaluation.intervals import Interval
from models.selection.evaluation.simulation_metrics import paired_gain
from models.selection.simulation.interface import ArtifactPolicy, SimulatedPolicy
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.market import SimulatedEndpoint, draw_market
from models.selection.simulation.scenarios import Scenario, load_scenario, scenario_names
from models.selection.simulation.simulate import SimulationRun, simulate

# Observations: so many that nothing is shrunk.
KNOWN = 1e6


class TrialSettings(NamedTuple):
    """How each scenario is run, in simulated seconds and in how many markets; ``scenarios`` of none are all.

    Bounded by this and not by a clock, so that the answer is the same anywhere: a minute or two of one core.
    """

    duration_s: float = 600.0
    markets: int = 3
    scenarios: tuple[str, ...] = ()


class ScenarioResult(NamedTuple):
    """``gain`` of the candidate over the incumbent in USD a request; ``utility`` the incumbent's mean, negative.

    ``worst`` is the mean gain in the market where it is least; the interval is over time within the markets drawn.
    """

    scenario: str
    gain: Interval
    utility: float
    worst: float


def seeds_of(version: str, count: int) -> list[int]:
    """Markets that were not there when the version was made: no constant and no candidate was chosen on them."""
    first = int.from_bytes(hashlib.sha256(version.encode()).digest()[:4])
    return [first + number for number in range(count)]


def run_trial(
    candidate: LearnedPolicy, incumbent: LearnedPolicy | None, trial: TrialSettings = TrialSettings()
) -> list[ScenarioResult]:
    """Each scenario; without an ``incumbent`` against price shares, which serve then."""
    seeds = seeds_of(candidate.version, trial.markets)
    return [
        _in_scenario(load_scenario(name), candidate, incumbent, trial, seeds)
        for name in trial.scenarios or scenario_names()
    ]


def _in_scenario(
    scenario: Scenario,
    candidate: LearnedPolicy,
    incumbent: LearnedPolicy | None,
    trial: TrialSettings,
    seeds: Sequence[int],
) -> ScenarioResult:
    ours: list[SimulationRun] = []
    theirs: list[SimulationRun] = []
    for seed in seeds:
        levels = _levels(draw_market(seed, scenario.models, scenario.endpoints_per_model))
        other: SimulatedPolicy = (
            ArtifactPolicy(incumbent.with_levels(levels)) if incumbent else InverseSquarePrice(healthy=True)
        )
        for runs, policy in ((ours, ArtifactPolicy(candidate.with_levels(levels))), (theirs, other)):
            decisions = int(trial.duration_s * scenario.requests_per_s)
            runs.append(simulate(scenario, policy, seed=seed, decisions=decisions))
    utility = [float(run.column("utility_usd").mean()) for run in theirs]
    gains = [float(run.column("utility_usd").mean()) - now for run, now in zip(ours, utility, strict=True)]
    return ScenarioResult(scenario.name, paired_gain(ours, theirs), sum(utility) / len(utility), min(gains))


def _levels(market: Sequence[SimulatedEndpoint]) -> PriorHierarchy:
    """What a long quiet time would have shown of each endpoint; 429s come with the load that a policy makes."""
    endpoints = {
        e.name: {
            "failure": Moments(KNOWN, e.error_rate),
            "log_ttft": Moments(KNOWN, math.log(e.ttft_s), e.ttft_sigma**2),
            "log_tokens_per_s": Moments(KNOWN, math.log(e.tokens_per_s), e.tokens_sigma**2),
            "malformed": Moments(KNOWN, e.malformed_rate),
            "prompt_price": Moments(KNOWN, 1.0),
        }
        for e in market
    }
    return PriorHierarchy(endpoints, {}, {})
