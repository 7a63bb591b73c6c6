"""Run a candidate against the incumbent through simulated markets: is it worse in any scenario?

An artifact knows the endpoints of its log, none of the simulator's. So its models are given priors of the simulated
endpoints, as the trainer would measure them in quiet times, and observe the outcomes of their own choices. The trial
judges the learned decision, not the learned priors.
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
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.market import SimulatedEndpoint, draw_market
from models.selection.simulation.scenarios import Scenario, load_scenario, scenario_names
from models.selection.simulation.simulate import SimulationRun, simulate
from models.selection.simulation.simulated_policy import ArtifactPolicy, SimulatedPolicy

# With this many observations nothing is shrunk.
MANY_OBSERVATIONS = 1e6


class TrialSettings(NamedTuple):
    """Hold how each scenario is run: simulated seconds, and the number of markets; no ``scenarios`` means all.

    A trial is bounded by these and not by a clock, so that its result is the same on any machine. It takes a core a
    minute or two.
    """

    duration_s: float = 600.0
    markets: int = 3
    scenarios: tuple[str, ...] = ()


class ScenarioResult(NamedTuple):
    """Hold the candidate's ``gain`` over the incumbent in USD a request, and the incumbent's ``utility``.

    ``utility`` is a mean in USD a request, and negative. ``worst`` is the mean gain in the market where it is least.
    The interval is over time within the markets drawn.
    """

    scenario: str
    gain: Interval
    utility: float
    worst: float


def market_seeds(version: str, count: int) -> list[int]:
    """Return seeds of markets derived from the version, so that no constant and no candidate was chosen on them."""
    first = int.from_bytes(hashlib.sha256(version.encode()).digest()[:4])
    return [first + number for number in range(count)]


def run_trial(
    candidate: LearnedPolicy, incumbent: LearnedPolicy | None, settings: TrialSettings = TrialSettings()
) -> list[ScenarioResult]:
    """Run each scenario; without an ``incumbent`` the candidate meets price shares, which serve then."""
    seeds = market_seeds(candidate.version, settings.markets)
    return [
        _in_scenario(load_scenario(name), candidate, incumbent, settings, seeds)
        for name in settings.scenarios or scenario_names()
    ]


def _in_scenario(
    scenario: Scenario,
    candidate: LearnedPolicy,
    incumbent: LearnedPolicy | None,
    settings: TrialSettings,
    seeds: Sequence[int],
) -> ScenarioResult:
    ours: list[SimulationRun] = []
    theirs: list[SimulationRun] = []
    for seed in seeds:
        priors = _quiet_priors(draw_market(seed, scenario.models, scenario.endpoints_per_model))
        other: SimulatedPolicy = (
            ArtifactPolicy(incumbent.with_priors(priors)) if incumbent else InverseSquarePrice(healthy=True)
        )
        for runs, policy in ((ours, ArtifactPolicy(candidate.with_priors(priors))), (theirs, other)):
            decisions = int(settings.duration_s * scenario.requests_per_s)
            runs.append(simulate(scenario, policy, seed=seed, decisions=decisions))
    utility = [float(run.column("utility_usd").mean()) for run in theirs]
    gains = [float(run.column("utility_usd").mean()) - now for run, now in zip(ours, utility, strict=True)]
    return ScenarioResult(scenario.name, paired_gain(ours, theirs), sum(utility) / len(utility), min(gains))


def _quiet_priors(market: Sequence[SimulatedEndpoint]) -> PriorHierarchy:
    """Return the priors that a long quiet time would have taught; 429s come with the load that a policy makes."""
    endpoints = {
        e.name: {
            "failure": Moments(MANY_OBSERVATIONS, e.error_rate),
            "log_ttft": Moments(MANY_OBSERVATIONS, math.log(e.ttft_s), e.ttft_sigma**2),
            "log_tokens_per_s": Moments(MANY_OBSERVATIONS, math.log(e.tokens_per_s), e.tokens_sigma**2),
            "malformed": Moments(MANY_OBSERVATIONS, e.malformed_rate),
            "prompt_price": Moments(MANY_OBSERVATIONS, 1.0),
        }
        for e in market
    }
    return PriorHierarchy(endpoints, {}, {})
