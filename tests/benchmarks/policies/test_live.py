"""Portolan's own policy leaves what fails, comes back to what recovers, and explores only where it is safe."""

from __future__ import annotations

import math

import pytest

from benchmarks.policies.live import LivePolicy
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.utility import DecisionConstants
from tests.benchmarks.policies.test_baselines import answer, candidates, choose, failure

FLOOR = DecisionConstants().floor


def settled(seconds: int = 600) -> LivePolicy:
    """``a`` answers in 0.2 s, ``b`` in 0.6 s, ``c`` in 5 s, one call each a second."""
    policy = LivePolicy()
    for moment in range(seconds):
        for name, ttft in (("a", 0.2), ("b", 0.6), ("c", 5.0)):
            policy.observe(answer(moment, name, ttft))
    return policy


def test_the_floor_is_spread_over_the_safe_set_alone() -> None:
    best, near, far = choose(settled(), candidates(0.1, 0.1, 0.1), 600)
    assert best + near == pytest.approx(1)
    assert FLOOR / 4 < near < FLOOR / 2
    assert far == 0


def test_a_few_failures_in_a_row_are_left_and_found_again() -> None:
    policy, offered = settled(), candidates(0.1, 0.1, 0.1)
    for moment in range(3):
        policy.observe(failure(600 + moment, "a"))
    assert choose(policy, offered, 603)[1] > 0.9
    for moment in range(605, 2000):
        policy.observe(answer(moment, "b", 0.6))
    assert choose(policy, offered, 2000)[0] > 0.9


def test_one_failure_of_a_busy_endpoint_is_no_outage() -> None:
    policy = settled()
    policy.observe(failure(600, "a"))
    policy.observe(answer(601, "a", 0.2))
    assert choose(policy, candidates(0.1, 0.1, 0.1), 602)[0] > 0.9


def test_a_slowed_endpoint_is_left() -> None:
    policy = settled()
    for moment in range(600, 900):
        policy.observe(answer(moment, "a", 2.0))
    assert choose(policy, candidates(0.1, 0.1, 0.1), 900)[1] > 0.9


def refused(now_s: float, name: str) -> AttemptObservation:
    return AttemptObservation(now_s, f"{name}:m", name, "rate_limited", 10.0)


def test_an_endpoint_that_others_use_up_is_left_for_a_while() -> None:
    policy, offered = settled(), candidates(0.1, 0.1, 0.1)
    policy.observe(refused(600, "a"))
    assert choose(policy, offered, 601)[0] == 0
    assert choose(policy, offered, 900)[0] > 0.8


def test_429s_lower_the_share_and_successes_raise_it() -> None:
    policy, offered = settled(), candidates(0.1, 1.0, 1.0)
    for _ in range(10):
        policy.observe(refused(600, "a"))
    limited = choose(policy, offered, 900)
    assert limited[0] == pytest.approx(0.9**10, abs=FLOOR)
    assert limited[1] == pytest.approx(1 - 0.9**10, abs=FLOOR)
    for moment in range(900, 1100):
        policy.observe(answer(moment, "a", 0.2))
    assert choose(policy, offered, 1100)[0] > 0.7


def test_an_unknown_endpoint_is_taken_for_its_provider_and_tried() -> None:
    policy = LivePolicy()
    for moment in range(100):
        policy.observe(answer(moment, "a", 0.5))
        policy.observe(AttemptObservation(moment, "quick:other", "b", "success", 0.1, 0.1))
    assert choose(policy, candidates(0.1, 0.1), 100)[1] > 0.9


def test_a_trained_prior_stands_before_anything_is_seen() -> None:
    policy = LivePolicy(prior={"a:m": 1.0, "b:m": -1.0})
    assert choose(policy, candidates(0.1, 0.1))[1] > 0.9


@pytest.mark.parametrize("gap_s", [0.2, 1, 10])
def test_an_endpoint_that_slows_fourfold_is_left_within_twenty_requests(gap_s: float) -> None:
    policy, offered = LivePolicy(), candidates(0.1, 0.1)
    for number in range(300):
        policy.observe(answer(number * gap_s, "a", 0.5 * math.exp(0.3 * (-1) ** number)))
        policy.observe(answer(number * gap_s, "b", 0.8))
    requests = 0
    while choose(policy, offered, (300 + requests) * gap_s)[0] > 0.5:
        policy.observe(answer((300 + requests) * gap_s, "a", 2.0 * math.exp(0.3 * (-1) ** requests)))
        requests += 1
    assert 0 < requests <= 20


def test_who_was_left_for_a_jump_is_tried_again_when_it_may_have_ended() -> None:
    policy, offered, now = LivePolicy(), candidates(0.1, 0.1), 0
    for now in range(300):
        policy.observe(answer(now, "a", 0.5 * math.exp(0.3 * (-1) ** now)))
        policy.observe(answer(now, "b", 0.8 * math.exp(0.3 * (-1) ** now)))
    for now in range(300, 312):
        policy.observe(answer(now, "a", 2.0 * math.exp(0.3 * (-1) ** now)))
    assert choose(policy, offered, now + 60)[0] < 0.1
    for now in range(312, 3900):
        policy.observe(answer(now, "b", 0.8 * math.exp(0.3 * (-1) ** now)))
    assert choose(policy, offered, now)[0] > 0.9


def test_price_counts() -> None:
    policy = LivePolicy()
    for moment in range(100):
        policy.observe(answer(moment, "a", 0.5))
        policy.observe(answer(moment, "b", 0.6))
    assert choose(policy, candidates(10, 1), 100)[1] > 0.9
