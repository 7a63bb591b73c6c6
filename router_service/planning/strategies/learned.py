"""A part of the traffic by learned policies, the rest by price; price alone while none is served.

A request with a wish of its own is no part of that experiment, for price shares would not heed it: learned policies
have all of it, under a name of its own, and without one it gets the order that it asked for.
"""

from __future__ import annotations

from data.catalogue.types import Endpoint
from models.selection.decision.utility import UtilityWeights
from router_service.core.plan import Arm
from router_service.planning.policy_store import PolicyShare, ServedPolicies
from router_service.planning.strategies import price, sort
from router_service.planning.strategies.strategy import StrategyInput, StrategyResult, cumulate, usd
from router_service.planning.utility_preferences import weights_of

WEIGHTED = "wished"


def choose(slate: StrategyInput) -> StrategyResult:
    """An arm for each policy and one draw: the propensity of a choice is its probability under the mixture.

    A policy that gives no usable figures leaves its part to the price arm, unless it is the only one and raises
    ``PolicyError``.
    """
    wish = weights_of(slate.preferences, slate.state.wish)
    if wish != slate.state.wish:
        return _wished(slate, wish)
    arms = _arms(slate, min(slate.state.learned_share, 1.0), wish, "learned")
    rest = 1.0 - sum(learned.weight for learned in arms)
    if not arms:
        arms = [price.arm(slate, "price")]
    elif rest > 1e-12:
        arms.append(price.arm(slate, "price", rest))
    return StrategyResult(slate.endpoints, tuple(arms), usd(slate.prices))


def _wished(slate: StrategyInput, wish: UtilityWeights) -> StrategyResult:
    """All by the learned policies; who fails is followed in the order of the request's sort, if it has one."""
    if slate.preferences.sort_by:
        slate = sort.ordered(slate)
    arms = _arms(slate, 1.0 if slate.state.learned_share > 0 else 0.0, wish, WEIGHTED)
    if not arms:
        return sort.choose(slate) if slate.preferences.sort_by else price.choose(slate)
    # A policy that failed in this decision leaves its part to the others.
    total = sum(found.weight for found in arms)
    arms = [found._replace(weight=found.weight / total) for found in arms]
    return StrategyResult(slate.endpoints, tuple(arms), usd(slate.prices))


def _arms(slate: StrategyInput, share: float, wish: UtilityWeights, name: str) -> list[Arm]:
    best, count = slate.best(), len(slate.endpoints)
    arms = []
    for part in _parts(slate, slate.endpoints[:best], share, wish):
        probabilities = part.probabilities + [0.0] * (count - len(part.probabilities))
        arms.append(Arm(name, part.version, part.weight, cumulate(probabilities)))
    return arms


def _parts(slate: StrategyInput, endpoints: list[Endpoint], share: float, wish: UtilityWeights) -> list[PolicyShare]:
    profile, policy, seen = slate.profile, slate.state.learned, slate.state.seen
    if policy is None or share <= 0:
        return []
    views = seen.of(endpoints) if seen else None
    if isinstance(policy, ServedPolicies):
        return policy.parts(profile, endpoints, share, views, wish)
    return [PolicyShare(policy.version, share, policy.weigh(profile, endpoints, views, wish))]
