"""Test adjusted shares: the reference's worked figures, shrinkage, exploration, and draws against the formula."""

from __future__ import annotations

import pytest

from data.catalogue.cost import scaled_cost
from data.catalogue.types import Price
from router_service.core.preferences import Preferences
from router_service.planning.make_plan import make_plan
from router_service.planning.strategies.adjusted import (
    EXPLORATION,
    adjusted_prices,
    adjusted_shares,
    rate_limit_cost,
    shrink_measurements,
)
from router_service.planning.strategies.edge import edge_prices
from tests.market import PROFILE, TOOL_PROFILE, endpoint, measure, state
from tests.router_service.planning.test_make_plan import CHI_SQUARE, chi_square

ADJUSTED = Preferences(strategy="adjusted")
USD = 10**9


def test_shares_match_the_five_illustrative_shares_of_the_reference() -> None:
    """Expect Balanced 35 %, Fast 34 %, Budget 22 %, Slow start 7 %, Unreliable 2 %."""
    shares = adjusted_shares([0.98, 1.32, 0.84, 1.54, 2.06], [92, 125, 59, 77, 83])
    assert shares == pytest.approx([0.35, 0.34, 0.22, 0.07, 0.02], abs=0.001)


def test_expected_cost_matches_the_effective_price_of_the_reference() -> None:
    """Expect $0.142 for 40K uncached tokens at $2, 60K cached at $0.50 and 4K of completion at $8."""
    price = Price(2 * USD, 8 * USD, USD // 2)
    assert scaled_cost(price, 40_000, 4_000, cached=60_000).usd == pytest.approx(0.142)
    assert scaled_cost(Price(2 * USD, 8 * USD), 40_000, 0, cached=60_000).usd == pytest.approx(0.2)


def test_penalties_match_those_of_the_reference() -> None:
    """Expect 8 % for 1 % errors, 5 % for 5 % malformed calls, and one cent at $1 for 0.4 % of 429s at $2.50."""
    sound = measure(1, 50, requests=10**9, tool_requests=10**9)
    failing = sound._replace(errors=10**7)
    garbled = sound._replace(malformed=5 * 10**7)
    measures = [sound, sound, failing, garbled]
    plain, _, errors, malformed = adjusted_prices(
        [Price(USD, USD)] * 4, shrink_measurements(measures), measures, TOOL_PROFILE
    )
    waiting = 0.03 * 1  # a second to the first token, in shares of the typical price
    assert (plain, errors, malformed) == pytest.approx((1 + waiting, 1.08 + waiting, 1.05 + waiting), abs=1e-6)
    assert rate_limit_cost(0.004, retry_after_s=10) == pytest.approx(0.01)


def test_an_endpoint_with_few_requests_is_shrunk_towards_its_peers() -> None:
    """Expect little influence of one failure in two requests, and full influence of half of ten thousand."""
    peers = [measure(1, 50, requests=10_000)] * 3
    thin, thick = measure(1, 50, requests=2, errors=1), measure(1, 50, requests=10_000, errors=5000)
    levels = shrink_measurements([*peers, thin, thick])
    assert levels.errors[3] == pytest.approx(1 / 22)
    assert levels.errors[4] == pytest.approx(0.5, abs=0.001)
    assert shrink_measurements([*peers, measure(requests=0)]).speed[3] == pytest.approx(50)


def test_the_edge_is_the_market_price_of_each_speed() -> None:
    assert edge_prices([2, 1, 4, 3], [20, 10, 30, 15]) == [2, 1, 4, 1.5]
    assert edge_prices([1, 1, 5], [10, 20, 5]) == [1, 1, 1]


def test_every_healthy_endpoint_keeps_an_exploration_share() -> None:
    shares = adjusted_shares([1, 1000, 1], [100, 1, 90])
    assert shares[1] == pytest.approx(EXPLORATION / 3)
    assert sum(shares) == pytest.approx(1)


def test_an_endpoint_with_malformed_tool_calls_gets_only_exploration_for_requests_with_tools() -> None:
    endpoints = [endpoint(name) for name in "abcde"]
    measures = {e.id: measure(1, 50, tool_requests=1000, malformed=10) for e in endpoints}
    measures["e:b"] = measure(1, 50, tool_requests=1000, malformed=300)
    with_tools = make_plan("a/b", endpoints, ADJUSTED, TOOL_PROFILE, state(measures=measures))
    without = make_plan("a/b", endpoints, ADJUSTED, PROFILE, state(measures=measures))
    broken = [e.id for e in with_tools.endpoints].index("e:b")
    assert with_tools.probabilities[broken] == pytest.approx(EXPLORATION / 5)
    assert without.probabilities[broken] == pytest.approx(0.2)


def test_free_and_unmeasured_endpoints_cause_no_division_by_zero() -> None:
    plan = make_plan("a/b", [endpoint("free", 0), endpoint("paid", 1)], ADJUSTED, PROFILE, state())
    assert plan.probabilities[0] > 0.9
    assert sum(plan.probabilities) == pytest.approx(1)


def test_draws_follow_the_adjusted_shares() -> None:
    endpoints = [endpoint(name, usd) for name, usd in (("a", 1), ("b", 1.3), ("c", 0.8), ("d", 1.5), ("e", 2))]
    speeds = (92, 125, 59, 77, 83)
    measures = {e.id: measure(1, s, requests=10**9) for e, s in zip(endpoints, speeds, strict=True)}
    plan = make_plan("a/b", endpoints, ADJUSTED, PROFILE, state(measures=measures))
    typical = 1.3
    prices = [e.price.prompt / USD + 0.03 * typical for e in endpoints if e.price]
    expected = dict(zip((e.id for e in endpoints), adjusted_shares(prices, speeds), strict=True))
    assert plan.probabilities == pytest.approx([expected[e.id] for e in plan.endpoints], rel=1e-6)
    assert chi_square(plan) < CHI_SQUARE[4]


def test_a_fallback_is_drawn_from_the_rest_in_proportion() -> None:
    """Expect a and c after a failed b as often as their shares say."""
    plan = make_plan("a/b", [endpoint(name) for name in "abc"], ADJUSTED, PROFILE, state())
    plan = plan._replace(arms=(plan.arms[0]._replace(cumulative=(0.6, 0.8, 1.0)),))
    orders = [[e.tag for e in plan.sample((i + 0.5) / 30_000).order()] for i in range(30_000)]
    after_b = [order[1] for order in orders if order[0] == "b"]
    assert len(after_b) == 6000
    assert after_b.count("a") == pytest.approx(4500, abs=2)
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
