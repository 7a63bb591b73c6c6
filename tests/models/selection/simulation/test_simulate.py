"""The simulated market keeps its promises: same seed same market, load makes 429s, events come and go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.policies.baselines import Cheapest, Ewma, Oracle, Random
from benchmarks.policies.live import LivePolicy
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.evaluation.simulation_metrics import adaptation, paired_gain, summarise, watched_endpoints
from models.selection.simulation.market import altered, draw_market, parameters
from models.selection.simulation.scenarios import (
    TICK_S,
    Scenario,
    load_scenario,
    market_trajectory,
    scenario_names,
    struck_endpoints,
)
from models.selection.simulation.simulate import LABEL, SimulationRun, simulate
from models.selection.simulation.simulated_policy import SimulationState

CALM = load_scenario("calm")


class Listener:
    """Tries all alike; notes what it was told and when."""

    name = "listener"

    def __init__(self) -> None:
        self.told: list[AttemptObservation] = []
        self.late = 0
        self.now_s = 0.0

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        self.late += sum(outcome.now_s > state.now_s for outcome in self.told)
        self.told.clear()
        assert min(state.in_flight) >= 0
        return [1 / len(candidates)] * len(candidates)

    def observe(self, outcome: AttemptObservation) -> None:
        assert outcome.now_s >= self.now_s
        self.now_s = outcome.now_s
        self.told.append(outcome)


def run_watched(name: str, policy: LivePolicy | Ewma | Oracle, decisions: int, seed: int = 1) -> SimulationRun:
    scenario = load_scenario(name)
    eyes = watched_endpoints(scenario, draw_market(seed, scenario.models, scenario.endpoints_per_model))
    return simulate(scenario, policy, seed=seed, decisions=decisions, watched=eyes)


def test_the_same_seed_gives_the_same_run_and_every_policy_the_same_requests() -> None:
    one, again = (simulate(CALM, Random(), seed=3, decisions=500) for _ in range(2))
    other = simulate(CALM, LivePolicy(), seed=3, decisions=500)
    assert np.array_equal(one.rows, again.rows, equal_nan=True)
    assert np.array_equal(one.column("time_s"), other.column("time_s"))
    assert not np.array_equal(one.column("time_s"), simulate(CALM, Random(), seed=4, decisions=500).column("time_s"))


def test_outcomes_are_told_in_order_and_never_before_their_end() -> None:
    listener = Listener()
    simulate(CALM, listener, seed=1, decisions=1000)
    assert listener.late == 0
    assert listener.now_s > 0


def test_429s_emerge_from_load() -> None:
    idle, busy = (
        simulate(CALM._replace(load=load), Cheapest(), seed=2, decisions=2000).column("first_failed").mean()
        for load in (0.05, 4.0)
    )
    assert idle + 0.3 < busy


def test_others_use_up_an_endpoint_in_spells_of_the_measured_share() -> None:
    authored = parameters()["authored"]
    market = [endpoint for seed in range(40) for endpoint in draw_market(seed, 3, 7)]
    shares = np.array([endpoint.busy_share for endpoint in market])
    assert np.median(shares) == pytest.approx(authored["busy_share"]["median"], rel=0.3)
    free = market_trajectory(CALM, market[:60], 1, 200_000).capacity > 0
    assert 1 - free.mean(axis=0) == pytest.approx(shares[:60], abs=0.05)
    ends = (free[1:] & ~free[:-1]).sum()
    assert (~free).sum() * TICK_S / ends == pytest.approx(authored["busy_spell_s"], rel=0.1)


def test_failover_answers_what_the_first_attempt_did_not() -> None:
    run = simulate(load_scenario("outage_of_the_cheapest"), Cheapest(), seed=1, decisions=3000)
    struck = slice(1300, 2000)  # of 1200 to 2100, give or take
    assert run.column("first_failed")[struck].mean() > 0.9
    assert (run.column("served")[struck] >= 0).mean() > 0.95
    assert np.isnan(run.column("ttft_s")).sum() == (run.column("served") < 0).sum()


def test_the_oracle_regrets_nothing_and_random_explores_most() -> None:
    oracle, random = (simulate(CALM, policy, seed=1, decisions=2000) for policy in (Oracle(), Random()))
    assert oracle.column("regret_usd").max() == pytest.approx(0)
    assert (random.column("regret_usd") >= -1e-12).all()
    assert paired_gain([oracle], [random]).low > 0


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_changes_what_it_says_and_only_then(name: str) -> None:
    scenario = load_scenario(name)
    market = draw_market(1, scenario.models, scenario.endpoints_per_model)
    quiet = market_trajectory(scenario._replace(events=()), market, 1, 3600)
    told = market_trajectory(scenario, market, 1, 3600)
    ticks = len(told.ttft_s)
    touched = np.zeros((ticks, len(market)), dtype=bool)
    for before, after in zip(quiet, told, strict=True):
        touched |= before != after
    allowed = np.zeros_like(touched)
    for event in scenario.events:
        allowed[int(event.start * ticks) : int(event.end * ticks), struck_endpoints(event, market)] = True
    assert not (touched & ~allowed).any()
    assert touched.any() == bool(scenario.events)
    assert any(event.watch for event in scenario.events) == bool(scenario.events)


def test_unknown_scenarios_are_named_as_such() -> None:
    with pytest.raises(ValueError, match=r"no scenario storm; there are calm"):
        load_scenario("storm")


def test_the_market_has_the_measured_moments() -> None:
    table = parameters()
    market = [endpoint for seed in range(40) for endpoint in draw_market(seed, 3, 7)]
    logs = np.log([endpoint.ttft_s for endpoint in market])
    spread = np.hypot(table["ttft_s"]["between"], table["ttft_s"]["within"])
    assert np.exp(np.median(logs)) == pytest.approx(table["ttft_s"]["median"], rel=0.15)
    assert logs.std() == pytest.approx(spread, rel=0.15)
    drift = np.log(market_trajectory(CALM, market[:21], 1, 400_000 * TICK_S / 10).ttft_s)
    assert drift.std(axis=0).mean() == pytest.approx(table["drift"]["sd"], rel=0.2)


def test_a_new_market_has_its_scenarios_size() -> None:
    small = Scenario("small", "", 2, 4, 1.0, ())
    run = simulate(small, Random(), seed=1, decisions=200)
    assert len(run.market) == 8
    assert set(run.column("model")) == {0, 1}
    assert "simulation" in LABEL


def test_adaptation_counts_requests_until_left_and_found() -> None:
    oracle = adaptation([run_watched("outage_of_the_cheapest", Oracle(), 4000)])
    assert oracle.find is not None
    fixed = adaptation([run_watched("new_endpoint", Oracle(), 4000)])
    assert fixed.leave is None
    assert fixed.find is not None
    assert adaptation([simulate(CALM, Random(), seed=1, decisions=200)]).find is None


def test_a_summary_holds_every_figure() -> None:
    found = summarise([simulate(CALM, LivePolicy(), seed=seed, decisions=1500) for seed in (1, 2)])
    assert found.utility_usd.low < found.utility_usd.value < found.utility_usd.high < 0
    assert found.ttft_p50_s < found.ttft_p95_s < found.ttft_p99_s
    assert found.time_to_500_s > found.ttft_mean_s
    assert 0 < found.price_usd < 0.01
    assert found.regret_usd >= found.exploring_usd


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_portolan_is_ahead_of_an_ewma_in_every_scenario(name: str) -> None:
    ours, theirs = (
        [simulate(load_scenario(name), make(), seed=seed, decisions=6000) for seed in (11, 12)]
        for make in (LivePolicy, lambda: Ewma(0.3, 0.05))
    )
    assert paired_gain(ours, theirs).low > 0


def test_a_market_of_other_moments_is_the_same_market_elsewhere() -> None:
    usual, slow = parameters()["ttft_s"]["median"], 10.0
    measured = draw_market(3, 2, 4)
    with altered({"ttft_s": {"median": slow}, "drift": {"sd": 0.0}}):
        elsewhere = draw_market(3, 2, 4)
        assert np.ptp(market_trajectory(CALM, elsewhere, 3, 600.0).ttft_s, axis=0).max() == 0
    assert [e.ttft_s for e in elsewhere] == pytest.approx([e.ttft_s * slow / usual for e in measured])
    assert [e._replace(ttft_s=0) for e in elsewhere] == [e._replace(ttft_s=0) for e in measured]
    assert draw_market(3, 2, 4) == measured
    with pytest.raises(ValueError, match=r"no ttft_s\.mean"), altered({"ttft_s": {"mean": 1.0}}):
        pass
