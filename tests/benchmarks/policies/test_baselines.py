"""Every policy gives exact probabilities; each baseline is the rule that it is named after."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import pytest

from benchmarks.policies.bandits import EpsilonGreedy, Ucb1
from benchmarks.policies.baselines import (
    AdjustedPriceShares,
    Cheapest,
    Ewma,
    Fixed,
    LatencyAverage,
    Oracle,
    Random,
    TwoChoicesEwma,
    best_fixed,
)
from benchmarks.policies.live import LivePolicy
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.simulated_policy import SimulatedPolicy, SimulationState

POLICIES: list[Callable[[], SimulatedPolicy]] = [
    Random,
    Cheapest,
    lambda: Fixed(frozenset(["b:m"])),
    Oracle,
    lambda: InverseSquarePrice(healthy=False),
    lambda: InverseSquarePrice(healthy=True),
    AdjustedPriceShares,
    lambda: Ewma(1.0),
    lambda: Ewma(0.3, 0.05),
    TwoChoicesEwma,
    LatencyAverage,
    Ucb1,
    lambda: Ucb1(discount=0.9),
    EpsilonGreedy,
    LivePolicy,
]
ASK = RequestContext(760, 151, True, False, 12)


def candidates(*usd_per_million: float) -> list[CandidateEndpoint]:
    """``a:m``, ``b:m``, … at these prices for input and output alike."""
    return [
        CandidateEndpoint(f"{name}:m", name, round(price * 1e9), round(price * 1e9))
        for name, price in zip("abcdef", usd_per_million, strict=False)
    ]


def state(now_s: float, count: int, in_flight: Sequence[int] | None = None) -> SimulationState:
    return SimulationState(now_s, in_flight or [0] * count, [float(place) for place in range(count)])


def answer(now_s: float, name: str, ttft_s: float) -> AttemptObservation:
    return AttemptObservation(now_s, f"{name}:m", name, "success", ttft_s, ttft_s)


def failure(now_s: float, name: str) -> AttemptObservation:
    return AttemptObservation(now_s, f"{name}:m", name, "error", 10.0)


def choose(policy: SimulatedPolicy, offered: Sequence[CandidateEndpoint], now_s: float = 0.0) -> list[float]:
    return list(policy.choose(ASK, offered, state(now_s, len(offered))))


@pytest.mark.parametrize("make", POLICIES, ids=[make().name for make in POLICIES])
def test_probabilities_are_probabilities_whatever_was_seen(make: Callable[[], SimulatedPolicy]) -> None:
    policy = make()
    for step in range(200):
        offered = candidates(*[1.0, 2.0, 3.0, 4.0, 5.0][: 1 + step % 5])
        chances = choose(policy, offered, float(step))
        assert len(chances) == len(offered)
        assert min(chances) >= 0
        assert sum(chances) == pytest.approx(1)
        name = offered[step % len(offered)].provider
        limited = AttemptObservation(step + 0.5, f"{name}:m", name, "rate_limited", 10.0)
        policy.observe([answer(step + 0.5, name, 0.1 + step % 7), failure(step + 0.5, name), limited][step % 3])


def test_shares_follow_the_inverse_square_of_the_price_and_outages_come_last() -> None:
    plain, healthy = InverseSquarePrice(healthy=False), InverseSquarePrice(healthy=True)
    for moment in range(3):
        healthy.observe(failure(moment, "b"))
    assert choose(plain, candidates(1, 2, 3)) == pytest.approx([36 / 49, 9 / 49, 4 / 49])
    assert choose(healthy, candidates(1, 2, 3), 5.0) == pytest.approx([0.9, 0, 0.1])
    assert choose(healthy, candidates(1, 2, 3), 60.0)[1] > 0


def test_adjusted_price_shares_are_those_of_the_published_illustration() -> None:
    examples = [(0.98, 92, 0.35), (1.32, 125, 0.34), (0.84, 59, 0.22), (1.54, 77, 0.07), (2.06, 83, 0.02)]
    shares = AdjustedPriceShares.shares([math.log(price / speed) for price, speed, _ in examples])
    assert shares == pytest.approx([share for _, _, share in examples], abs=0.02)


def test_two_choices_are_those_of_all_pairs() -> None:
    policy = TwoChoicesEwma()
    for name, ttft in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        policy.observe(answer(0, name, ttft))
    loads = [1.0 * 4, 3.0 * 1, 2.0 * 1]
    wins = [min(pair, key=loads.__getitem__) for pair in combinations(range(3), 2)]
    got = policy.choose(ASK, candidates(1, 1, 1), state(0, 3, [3, 0, 0]))
    assert list(got) == pytest.approx([wins.count(place) / 3 for place in range(3)])


def test_ucb1_tries_all_then_weighs_mean_against_count() -> None:
    policy, offered = Ucb1(c=0.5), candidates(1, 1)
    assert choose(policy, offered) == [0.5, 0.5]
    policy.observe(answer(0, "a", 1.0))
    assert choose(policy, offered) == [0, 1]
    policy.observe(answer(0, "b", 1.1))
    assert choose(policy, offered) == [1, 0]
    for _ in range(98):
        policy.observe(answer(0, "a", 1.0))
    assert 1.1 - 0.5 * math.sqrt(math.log(100)) < 1.0 - 0.5 * math.sqrt(math.log(100) / 99)
    assert choose(policy, offered) == [0, 1]


def test_a_discount_forgets() -> None:
    policy = Ucb1(c=0.0, discount=0.5)
    for outcome in [answer(0, "b", 1.0), *[answer(0, "a", 5.0)] * 20, *[answer(0, "a", 0.5)] * 20]:
        policy.observe(outcome)
    assert policy._index("a:m", 0.0) == pytest.approx(0.5, abs=1e-4)


def test_the_average_of_ten_sees_no_failure_and_forgets_after_an_hour() -> None:
    policy, offered = LatencyAverage(), candidates(1, 1)
    for outcome in [*[answer(0, "a", 9.0)] * 5, *[answer(1, "a", 1.0)] * 10, answer(1, "b", 2.0), failure(1, "a")]:
        policy.observe(outcome)
    assert choose(policy, offered, 2.0) == [1, 0]
    policy.observe(answer(3000, "a", 1.0))
    assert choose(policy, offered, 3700.0) == [0, 1]


def test_ewma_keeps_its_share_of_the_past() -> None:
    policy = Ewma(alpha=0.25, epsilon=0.1)
    for ttft in (1.0, math.e):
        policy.observe(answer(0, "a", ttft))
    policy.observe(answer(0, "b", math.exp(0.26)))
    assert choose(policy, candidates(1, 1)) == pytest.approx([0.95, 0.05])


def test_the_best_fixed_is_one_of_each_model() -> None:
    fixed = best_fixed({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": "m", "b": "m", "c": "n"})
    assert fixed._endpoints == {"a", "c"}
