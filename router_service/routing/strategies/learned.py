"""A part of the traffic by the learned policy, the rest by price; price alone while no policy is published."""

from __future__ import annotations

from router_service.routing.strategies.price import arm
from router_service.routing.strategies.slate import Arm, Choice, Slate, cumulate, usd


def choose(slate: Slate) -> Choice:
    """Two arms and one draw: the propensity of a choice is its probability under the mixture.

    Raises ``PolicyError`` when the policy gives no usable figures.
    """
    policy, share = slate.state.learned, slate.state.learned_share
    if policy is None or share <= 0:
        return Choice(slate.endpoints, (arm(slate, "price"),), usd(slate.prices))
    best = slate.best()
    weights = policy.weigh(slate.ask, slate.endpoints[:best]) + [0.0] * (len(slate.endpoints) - best)
    learned = Arm("learned", policy.version, min(share, 1.0), cumulate(weights))
    arms = (learned, arm(slate, "price", 1.0 - share)) if share < 1 else (learned,)
    return Choice(slate.endpoints, arms, usd(slate.prices))
