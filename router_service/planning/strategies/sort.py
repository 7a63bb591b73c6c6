"""Order endpoints as the client demands. Nothing is drawn, so the first choice has probability 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.catalogue.types import Endpoint
from router_service.core.plan import Arm
from router_service.core.preferences import slug_matches
from router_service.planning.market_state import UNMEASURED
from router_service.planning.strategies.strategy import RULES_VERSION, StrategyInput, StrategyResult

UNMEASURED_LATENCY_S = float("inf")


def choose(inputs: StrategyInput) -> StrategyResult:
    """Order the endpoints strictly by ``sort``."""
    return _fixed(inputs, "sort", _order(inputs))


def sorted_input(inputs: StrategyInput) -> StrategyInput:
    """Return ``inputs`` in the order of ``sort``."""
    order = _order(inputs)
    return inputs._replace(
        endpoints=[inputs.endpoints[i] for i in order],
        prices=[inputs.prices[i] for i in order],
        tiers=[inputs.tiers[i] for i in order],
    )


def _order(inputs: StrategyInput) -> list[int]:
    """Return indices by price, by median latency or by median throughput of the last 5 minutes.

    Latency is scaled to the client's region. Endpoints in a worse tier come last; unmeasured endpoints follow measured
    ones.
    """
    measures = inputs.state.measures

    def latency(index: int) -> float:
        endpoint = inputs.endpoints[index].id
        median = measures.get(endpoint, UNMEASURED).latency.p50
        return (
            UNMEASURED_LATENCY_S
            if median is None
            else median * inputs.state.distance(endpoint, inputs.profile.client_region)
        )

    def throughput(index: int) -> float:
        return -(measures.get(inputs.endpoints[index].id, UNMEASURED).throughput.p50 or 0.0)

    keys: dict[str, Callable[[int], float]] = {
        "price": lambda i: inputs.prices[i],
        "latency": latency,
        "throughput": throughput,
    }
    key = keys[inputs.preferences.sort_by or "price"]
    return sorted(range(len(inputs.endpoints)), key=lambda i: (inputs.tiers[i], key(i)))


def choose_named(inputs: StrategyInput) -> StrategyResult:
    """Order the endpoints as ``provider.order`` names them; the rest follow in their given order."""
    slugs = inputs.preferences.order or ()
    positions = [_position(endpoint, slugs) for endpoint in inputs.endpoints]
    return _fixed(inputs, "order", sorted(range(len(positions)), key=positions.__getitem__))


def _position(endpoint: Endpoint, slugs: Sequence[str]) -> int:
    return next((i for i, s in enumerate(slugs) if slug_matches(s, endpoint.tag, endpoint.provider_name)), len(slugs))


def _fixed(inputs: StrategyInput, policy: str, order: Sequence[int]) -> StrategyResult:
    arm = Arm(policy, RULES_VERSION, 1.0, (1.0,) * len(order))
    return StrategyResult([inputs.endpoints[i] for i in order], (arm,), [inputs.prices[i] / 1e9 for i in order])
