"""Shares by list price: the reference's documented default load balancing."""

from __future__ import annotations

from collections.abc import Sequence

from router_service.core.plan import Arm
from router_service.planning.strategies.strategy import RULES_VERSION, StrategyInput, StrategyResult, cumulate, usd


def choose(slate: StrategyInput) -> StrategyResult:
    """The best tier shares the traffic ∝ 1/price²; everything else stands behind it, cheapest first."""
    return StrategyResult(slate.endpoints, (arm(slate, "price"),), usd(slate.prices))


def arm(slate: StrategyInput, policy: str, weight: float = 1.0) -> Arm:
    """Price shares as one arm of a plan."""
    best = slate.best()
    shares = price_shares(slate.prices[:best]) + [0.0] * (len(slate.prices) - best)
    return Arm(policy, RULES_VERSION, weight, cumulate(shares))


def price_shares(prices: Sequence[int]) -> list[float]:
    """Shares ∝ 1/price². Free endpoints, where there are any, share everything: nothing divides by a price of 0.

    Source: "Price-based load balancing" of the reference's provider routing.
    """
    free = 0 in prices
    weights = [float(price == 0) if free else 1.0 / (price * price) for price in prices]
    total = sum(weights)
    return [weight / total for weight in weights]
