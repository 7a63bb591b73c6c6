"""The decision: a pure function of preferences, the ask, the catalogue, health and the learned policy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import msgspec

from data.catalogue.types import Endpoint
from data.schema import Record
from router_service.routing.candidates import Ask, blended, filter_endpoints
from router_service.routing.preferences import Preferences, matches

RULES_VERSION = "1"


class Learned(Protocol):
    """What a plan needs of a learned policy."""

    version: str

    def weigh(self, ask: Ask, endpoints: Sequence[Endpoint]) -> list[float]:
        """Probability of each endpoint, summing to 1."""


class State(NamedTuple):
    """Everything besides the request that a plan depends on."""

    catalogue_version: str
    health_epoch: int
    outages: frozenset[str]
    learned: Learned | None
    learned_share: float
    ttft: Mapping[str, float]
    throughput: Mapping[str, float]


class Arm(NamedTuple):
    """One strategy's part of the traffic: ``weight`` of it, spread by ``cumulative`` over the first choices."""

    policy: str
    version: str
    weight: float
    cumulative: tuple[float, ...]


class Plan(NamedTuple):
    """``endpoints`` in fallback order; ``probabilities[i]`` is the chance that ``i`` is tried first."""

    model: str
    endpoints: tuple[Endpoint, ...]
    probabilities: tuple[float, ...]
    arms: tuple[Arm, ...]
    excluded: tuple[tuple[Endpoint, str], ...]
    candidates: msgspec.Raw
    catalogue_version: str
    health_epoch: int
    fallbacks: bool

    def sample(self, draw: float) -> Decision:
        """The decision that ``draw`` in [0, 1) stands for."""
        low = 0.0
        for arm in self.arms[:-1]:
            if draw < low + arm.weight:
                break
            low += arm.weight
        else:
            arm = self.arms[-1]
        inner = (draw - low) / arm.weight if arm.weight else 0.0
        first = min(bisect_right(arm.cumulative, inner), len(self.endpoints) - 1)
        return Decision(self, draw, arm, first)


class Decision(NamedTuple):
    plan: Plan
    draw: float
    arm: Arm
    first: int

    def order(self) -> Iterator[Endpoint]:
        """Endpoints in the order in which they are tried."""
        endpoints = self.plan.endpoints
        yield endpoints[self.first]
        if self.plan.fallbacks:
            yield from (e for i, e in enumerate(endpoints) if i != self.first)

    def describe(self, record: Record) -> None:
        """Write the decision into the log record."""
        plan = self.plan
        record.policy, record.policy_version = self.arm.policy, self.arm.version
        record.catalogue_version, record.health_epoch = plan.catalogue_version, plan.health_epoch
        record.draw = self.draw
        record.propensity = plan.probabilities[self.first]
        record.candidates = plan.candidates


def make_plan(model: str, endpoints: Sequence[Endpoint], preferences: Preferences, ask: Ask, state: State) -> Plan:
    """Filter, weigh and order ``endpoints``. With nothing eligible ``Plan.endpoints`` is empty."""
    eligible, excluded = filter_endpoints(endpoints, preferences, ask)
    arms: tuple[Arm, ...] = ()
    ordered: list[Endpoint] = []
    if eligible:
        if preferences.order or preferences.sort_by:
            ordered = _strict_order(eligible, preferences, state)
            name = "order" if preferences.order else "sort"
            arms = (Arm(name, RULES_VERSION, 1.0, tuple([1.0] * len(ordered))),)
        else:
            ordered = sorted(eligible, key=lambda e: (e.id in state.outages, _price(e), e.id))
            arms = _arms(ordered, ask, state)
    probabilities = _mixture(arms, len(ordered))
    return Plan(
        model,
        tuple(ordered),
        probabilities,
        arms,
        tuple(excluded),
        _encode_candidates(ordered, probabilities, excluded),
        state.catalogue_version,
        state.health_epoch,
        preferences.allow_fallbacks is not False or bool(preferences.order),
    )


def price_shares(endpoints: Sequence[Endpoint], outages: frozenset[str]) -> list[float]:
    """Shares ∝ 1/price² over the endpoints without an outage (over all when none is without).

    Source: the reference's documented default load balancing. Free endpoints, where there are any,
    share everything among themselves: nothing divides by a price of 0.
    """
    stable = [e.id not in outages for e in endpoints]
    if not any(stable):
        stable = [True] * len(endpoints)
    prices = [_price(e) for e in endpoints]
    if any(ok and price == 0 for ok, price in zip(stable, prices, strict=True)):
        weights = [float(ok and price == 0) for ok, price in zip(stable, prices, strict=True)]
    else:
        weights = [1.0 / price**2 if ok else 0.0 for ok, price in zip(stable, prices, strict=True)]
    total = sum(weights)
    return [weight / total for weight in weights]


def _arms(ordered: list[Endpoint], ask: Ask, state: State) -> tuple[Arm, ...]:
    shares = Arm("price", RULES_VERSION, 1.0, _cumulative(price_shares(ordered, state.outages)))
    if state.learned is None or state.learned_share <= 0:
        return (shares,)
    stable = [e for e in ordered if e.id not in state.outages] or ordered
    weights = dict(zip((e.id for e in stable), state.learned.weigh(ask, stable), strict=True))
    learned = _cumulative([weights.get(e.id, 0.0) for e in ordered])
    share = state.learned_share
    arms = (Arm("learned", state.learned.version, share, learned), shares._replace(weight=1.0 - share))
    return arms if share < 1 else arms[:1]


def _strict_order(eligible: list[Endpoint], preferences: Preferences, state: State) -> list[Endpoint]:
    if preferences.order:
        slugs = preferences.order
        return sorted(eligible, key=lambda e: (_position(e, slugs), e.id in state.outages, _price(e), e.id))
    keys: dict[str, Callable[[Endpoint], float]] = {
        "price": _price,
        "latency": lambda e: state.ttft.get(e.id, float("inf")),
        "throughput": lambda e: -state.throughput.get(e.id, 0.0),
    }
    key = keys[preferences.sort_by or "price"]
    return sorted(eligible, key=lambda e: (e.id in state.outages, key(e), _price(e), e.id))


def _position(endpoint: Endpoint, slugs: tuple[str, ...]) -> int:
    return next((i for i, s in enumerate(slugs) if matches(s, endpoint.tag, endpoint.provider_name)), len(slugs))


def _price(endpoint: Endpoint) -> int:
    return blended(endpoint.price) if endpoint.price else 0


def _cumulative(weights: Sequence[float]) -> tuple[float, ...]:
    return tuple(accumulate(weights))


def _mixture(arms: tuple[Arm, ...], count: int) -> tuple[float, ...]:
    mixed = [0.0] * count
    for arm in arms:
        before = 0.0
        for index, edge in enumerate(arm.cumulative):
            mixed[index] += arm.weight * (edge - before)
            before = edge
    return tuple(mixed)


def _encode_candidates(
    ordered: Sequence[Endpoint], probabilities: Sequence[float], excluded: Sequence[tuple[Endpoint, str]]
) -> msgspec.Raw:
    rows = [
        {"endpoint": e.id, "probability": p, "score": _price(e) / 1e9, "excluded_by": None}
        for e, p in zip(ordered, probabilities, strict=True)
    ]
    rows += [{"endpoint": e.id, "probability": 0.0, "score": None, "excluded_by": reason} for e, reason in excluded]
    return msgspec.Raw(msgspec.msgpack.encode(rows))
