"""Share the traffic by list price: the reference's documented default load balancing."""

from __future__ import annotations

from collections.abc import Sequence

from router_service.core.plan import Arm
from router_service.planning.strategies.strategy import RULES_VERSION, StrategyInput, StrategyResult, cumulate, usd


def choose(inputs: StrategyInput) -> StrategyResult:
    """Share the traffic ∝ 1/price² among the best tier; all other endpoints follow, cheapest first."""
    return StrategyResult(inputs.endpoints, (price_arm(inputs, "price"),), usd(inputs.prices))


def price_arm(inputs: StrategyInput, policy: str, weight: float = 1.0) -> Arm:
    """Return an arm of price shares with ``weight`` of the traffic."""
    best = inputs.best_tier_size()
    shares = price_shares(inputs.prices[:best]) + [0.0] * (len(inputs.prices) - best)
    return Arm(policy, RULES_VERSION, weight, cumulate(shares))


def price_shares(prices: Sequence[int]) -> list[float]:
    """Return shares ∝ 1/price². If some endpoints are free, they share all traffic, so nothing divides by 0.

    Source: "Price-based load balancing" of the reference's provider routing.
    """
    free = 0 in prices
    weights = [float(price == 0) if free else 1.0 / (price * price) for price in prices]
    total = sum(weights)
    return [weight / total for weight in weights]
