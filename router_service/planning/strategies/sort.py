"""Orders that the client fixes: nothing is drawn, so every first choice has probability 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.catalogue.types import Endpoint
from router_service.core.plan import Arm
from router_service.core.preferences import slug_matches
from router_service.planning.market_state import UNMEASURED
from router_service.planning.strategies.strategy import RULES_VERSION, StrategyInput, StrategyResult

NEVER = float("inf")


def choose(slate: StrategyInput) -> StrategyResult:
    """Strictly by ``sort``."""
    return _fixed(slate, "sort", _order(slate))


def ordered(slate: StrategyInput) -> StrategyInput:
    """The same in the order of ``sort``."""
    order = _order(slate)
    return slate._replace(
        endpoints=[slate.endpoints[i] for i in order],
        prices=[slate.prices[i] for i in order],
        tiers=[slate.tiers[i] for i in order],
    )


def _order(slate: StrategyInput) -> list[int]:
    """Places by price, median latency or median throughput of the last 5 minutes, latency as it is from the client's
    region.

    Endpoints in an outage, and those that miss a cut-off on speed, stand behind; what is not measured
    comes after what is.
    """
    measures = slate.state.measures

    def latency(index: int) -> float:
        endpoint = slate.endpoints[index].id
        median = measures.get(endpoint, UNMEASURED).latency.p50
        return NEVER if median is None else median * slate.state.distance(endpoint, slate.profile.client_region)

    def throughput(index: int) -> float:
        return -(measures.get(slate.endpoints[index].id, UNMEASURED).throughput.p50 or 0.0)

    keys: dict[str, Callable[[int], float]] = {
        "price": lambda i: slate.prices[i],
        "latency": latency,
        "throughput": throughput,
    }
    key = keys[slate.preferences.sort_by or "price"]
    return sorted(range(len(slate.endpoints)), key=lambda i: (slate.tiers[i], key(i)))


def choose_named(slate: StrategyInput) -> StrategyResult:
    """The endpoints of ``provider.order`` in that order, then the rest as they stand."""
    slugs = slate.preferences.order or ()
    places = [_place(endpoint, slugs) for endpoint in slate.endpoints]
    return _fixed(slate, "order", sorted(range(len(places)), key=places.__getitem__))


def _place(endpoint: Endpoint, slugs: Sequence[str]) -> int:
    return next((i for i, s in enumerate(slugs) if slug_matches(s, endpoint.tag, endpoint.provider_name)), len(slugs))


def _fixed(slate: StrategyInput, policy: str, order: Sequence[int]) -> StrategyResult:
    arm = Arm(policy, RULES_VERSION, 1.0, (1.0,) * len(order))
    return StrategyResult([slate.endpoints[i] for i in order], (arm,), [slate.prices[i] / 1e9 for i in order])
