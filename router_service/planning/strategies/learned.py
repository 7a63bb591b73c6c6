"""Give a part of the traffic to learned policies and the rest to price shares.

A request with utility weights of its own does not take part in that experiment, because price shares ignore them:
learned policies get all of it, under a policy name of its own. Without a served policy it gets the order of its sort.
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


def choose(inputs: StrategyInput) -> StrategyResult:
    """Make an arm for each policy; the propensity of a choice is its probability under the mixture.

    A policy without usable figures leaves its part to the price arm. Raises ``PolicyError`` if it is the only one.
    """
    weights = weights_of(inputs.preferences, inputs.state.weights)
    if weights != inputs.state.weights:
        return _weighted(inputs, weights)
    arms = _arms(inputs, min(inputs.state.learned_share, 1.0), weights, "learned")
    rest = 1.0 - sum(learned.weight for learned in arms)
    if not arms:
        arms = [price.price_arm(inputs, "price")]
    elif rest > 1e-12:
        arms.append(price.price_arm(inputs, "price", rest))
    return StrategyResult(inputs.endpoints, tuple(arms), usd(inputs.prices))


def _weighted(inputs: StrategyInput, weights: UtilityWeights) -> StrategyResult:
    """Give all traffic to the learned policies; fallbacks follow the request's sort, if it has one."""
    if inputs.preferences.sort_by:
        inputs = sort.sorted_input(inputs)
    arms = _arms(inputs, 1.0 if inputs.state.learned_share > 0 else 0.0, weights, WEIGHTED)
    if not arms:
        return sort.choose(inputs) if inputs.preferences.sort_by else price.choose(inputs)
    # The part of a policy that failed in this decision goes to the others.
    total = sum(found.weight for found in arms)
    arms = [found._replace(weight=found.weight / total) for found in arms]
    return StrategyResult(inputs.endpoints, tuple(arms), usd(inputs.prices))


def _arms(inputs: StrategyInput, share: float, weights: UtilityWeights, name: str) -> list[Arm]:
    best, count = inputs.best_tier_size(), len(inputs.endpoints)
    arms = []
    for part in _policy_shares(inputs, inputs.endpoints[:best], share, weights):
        probabilities = part.probabilities + [0.0] * (count - len(part.probabilities))
        arms.append(Arm(name, part.version, part.weight, cumulate(probabilities)))
    return arms


def _policy_shares(
    inputs: StrategyInput, endpoints: list[Endpoint], share: float, weights: UtilityWeights
) -> list[PolicyShare]:
    profile, policy, observed = inputs.profile, inputs.state.learned, inputs.state.observed
    if policy is None or share <= 0:
        return []
    views = observed.select(endpoints) if observed else None
    if isinstance(policy, ServedPolicies):
        return policy.shares(profile, endpoints, share, views, weights)
    return [PolicyShare(policy.version, share, policy.weigh(profile, endpoints, views, weights))]
