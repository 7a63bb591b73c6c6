"""Test that a plan is a pure function and that its shares follow the documented formula."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from router_service.core.plan import Plan
from router_service.core.preferences import NO_PREFERENCES, STRATEGIES, Percentiles, Preferences, Sort
from router_service.health import Health
from router_service.planning.make_plan import make_plan
from router_service.planning.strategies import STRATEGIES as REGISTRY
from router_service.planning.strategies.price import price_shares
from tests.market import PROFILE, TOOL_PROFILE, endpoint, measure, state
from tests.outcomes import failed

A, B, C = endpoint("a", 1), endpoint("b", 2), endpoint("c", 3)
# The 0.999 quantiles of chi-square by degrees of freedom.
CHI_SQUARE = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}


def tags(plan: Plan) -> list[str]:
    return [e.tag for e in plan.endpoints]


def chi_square(plan: Plan, draws: int = 100_000) -> float:
    dice = random.Random(5)
    drawn = Counter(plan.sample(dice.random()).first for _ in range(draws))
    expected = {i: p * draws for i, p in enumerate(plan.probabilities) if p > 0}
    assert drawn.keys() <= expected.keys()
    return sum((drawn[i] - n) ** 2 / n for i, n in expected.items())


def test_price_shares_match_the_worked_example_of_the_reference() -> None:
    """Prefer A at $1 to C at $3 nine to one, and try B at $2, which has an outage, last."""
    plan = make_plan("a/b", [B, C, A], NO_PREFERENCES, PROFILE, state("b"))
    assert tags(plan) == ["a", "c", "b"]
    assert plan.probabilities == pytest.approx((0.9, 0.1, 0.0))


def test_draws_follow_the_price_shares() -> None:
    plan = make_plan("a/b", [A, B, C], NO_PREFERENCES, PROFILE, state())
    assert plan.probabilities == pytest.approx((36 / 49, 9 / 49, 4 / 49))
    assert chi_square(plan) < CHI_SQUARE[2]


def test_all_endpoints_share_the_traffic_when_each_has_an_outage() -> None:
    plan = make_plan("a/b", [A, C], NO_PREFERENCES, PROFILE, state("a", "c"))
    assert plan.probabilities == pytest.approx((0.9, 0.1))


def test_free_endpoints_cause_no_division_by_zero() -> None:
    assert price_shares([0, 1_000_000_000]) == [1.0, 0.0]


def test_order_comes_first_and_the_rest_follows_unless_fallbacks_are_off() -> None:
    plan = make_plan("a/b", [A, B, C], Preferences(order=("C",)), PROFILE, state())
    assert [e.tag for e in plan.sample(0.7).order()] == ["c", "a", "b"]
    strict = make_plan("a/b", [A, B, C], Preferences(order=("c",), allow_fallbacks=False), PROFILE, state())
    assert [e.tag for e in strict.sample(0.7).order()] == ["c"]


def test_without_fallbacks_only_the_first_choice_is_tried() -> None:
    plan = make_plan("a/b", [A, B, C], Preferences(allow_fallbacks=False), PROFILE, state())
    assert [e.tag for e in plan.sample(0.0).order()] == ["a"]


def test_the_log_has_a_reason_for_each_exclusion() -> None:
    small = endpoint("s", 1, context_length=10)
    plan = make_plan("a/b", [A, B, small], Preferences(ignore=("b",)), PROFILE, state())
    rows = msgspec.msgpack.decode(plan.candidates)
    assert {r["endpoint"]: r["excluded_by"] for r in rows} == {
        "a:b": None,
        "b:b": "ignored_providers",
        "s:b": "context_length",
    }
    assert sum(r["probability"] for r in rows) == pytest.approx(1)


@pytest.mark.parametrize(
    ("sort", "first"), [("price", "slow"), ("latency", "quick"), ("throughput", "fast"), (Sort("latency"), "quick")]
)
def test_sort_is_a_strict_order_by_one_figure(sort: str | Sort, first: str) -> None:
    endpoints = [endpoint("slow", 1), endpoint("quick", 2), endpoint("fast", 3), endpoint("unmeasured", 9)]
    measures = {"slow:b": measure(2, 20), "quick:b": measure(0.1, 50), "fast:b": measure(1, 90)}
    plan = make_plan("a/b", endpoints, Preferences(sort=sort), PROFILE, state(measures=measures))
    assert (tags(plan)[0], tags(plan)[-1], plan.probabilities[0]) == (first, "unmeasured", 1.0)


def test_endpoints_that_miss_a_cut_off_come_last_after_unmeasured_ones() -> None:
    measures = {"a:b": measure(5, 20), "c:b": measure(0.2, 80)}
    wanted = Preferences(preferred_max_latency=1.0, preferred_min_throughput=Percentiles(p90=50.0))
    plan = make_plan("a/b", [A, B, C], wanted, PROFILE, state(measures=measures))
    assert (tags(plan), plan.probabilities) == (["c", "b", "a"], (1.0, 0.0, 0.0))


def test_an_outage_ranks_below_a_missed_cut_off() -> None:
    measures = {"a:b": measure(5)}
    plan = make_plan("a/b", [A, B], Preferences(preferred_max_latency=1.0), PROFILE, state("b", measures=measures))
    assert tags(plan) == ["a", "b"]


def test_endpoints_without_tool_support_are_excluded_if_others_support_tools() -> None:
    able = endpoint("able", 9, supported_parameters=frozenset({"tools"}))
    assert tags(make_plan("a/b", [A, able], NO_PREFERENCES, TOOL_PROFILE, state())) == ["able"]
    assert tags(make_plan("a/b", [A, B], NO_PREFERENCES, TOOL_PROFILE, state())) == ["a", "b"]


class Fixed:
    """Act as a learned policy that always chooses the last endpoint."""

    version = "fixed"

    def weigh(self, profile: object, endpoints: list[object], views: object, weights: object) -> list[float]:
        return [0.0] * (len(endpoints) - 1) + [1.0]


def test_the_propensity_is_the_probability_under_the_mixture() -> None:
    """Draw C with 1/2 + 1/2 · 4/49, if half goes to a policy that chooses C and half to price shares."""
    learned = state(strategy="learned", learned=Fixed(), learned_share=0.5)
    plan = make_plan("a/b", [A, B, C], NO_PREFERENCES, PROFILE, learned)
    assert plan.probabilities == pytest.approx((18 / 49, 4.5 / 49, 0.5 + 2 / 49))
    assert plan.sample(0.49).arm.policy == "learned"
    assert chi_square(plan) < CHI_SQUARE[2]
    assert make_plan("a/b", [A, B], Preferences(strategy="price"), PROFILE, learned).arms[0].policy == "price"


def test_every_strategy_that_a_request_may_name_exists() -> None:
    assert set(STRATEGIES) | {"order", "sort"} == set(REGISTRY)


def test_an_outage_starts_with_failures_and_ends_with_its_window() -> None:
    now = [100.0]
    health = Health(clock=lambda: now[0])
    health.report(failed("e", "rate_limit_exceeded"))
    health.report(failed("e", "provider_unavailable"))
    assert health.refresh() == 0
    health.report(failed("e", "timeout"))
    assert health.outages == {"e"}
    now[0] += 31
    assert health.refresh() == 2
    assert health.outages == frozenset()
