"""A part of the traffic by learned policies, the rest by price; price alone while none is served."""

from __future__ import annotations

from router_service.routing.learned import Part, ServedPolicies
from router_service.routing.strategies.price import arm
from router_service.routing.strategies.slate import Arm, Choice, Slate, cumulate, usd


def choose(slate: Slate) -> Choice:
    """An arm for each policy and one draw: the propensity of a choice is its probability under the mixture.

    A policy that gives no usable figures leaves its part to the price arm, unless it is the only one and raises
    ``PolicyError``.
    """
    best = slate.best()
    arms = [_arm(part, len(slate.endpoints)) for part in _parts(slate, best)]
    rest = 1.0 - sum(learned.weight for learned in arms)
    if not arms:
        arms = [arm(slate, "price")]
    elif rest > 1e-12:
        arms.append(arm(slate, "price", rest))
    return Choice(slate.endpoints, tuple(arms), usd(slate.prices))


def _parts(slate: Slate, best: int) -> list[Part]:
    policy, share = slate.state.learned, min(slate.state.learned_share, 1.0)
    if policy is None or share <= 0:
        return []
    if isinstance(policy, ServedPolicies):
        return policy.parts(slate.ask, slate.endpoints[:best], share)
    return [Part(policy.version, share, policy.weigh(slate.ask, slate.endpoints[:best]))]


def _arm(part: Part, count: int) -> Arm:
    probabilities = part.probabilities + [0.0] * (count - len(part.probabilities))
    return Arm("learned", part.version, part.weight, cumulate(probabilities))
