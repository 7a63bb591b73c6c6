"""Define the input and the result of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from data.catalogue.types import Endpoint
from router_service.core.plan import Arm
from router_service.core.preferences import Preferences
from router_service.planning.eligibility import RequestProfile
from router_service.planning.market_state import MarketState

RULES_VERSION = "2"


class StrategyInput(NamedTuple):
    """Hold the eligible endpoints, the best tier first, then the cheapest.

    ``prices`` are blended list prices in nano-USD per million tokens, for a prompt of the estimated length. The lowest
    number in ``tiers`` is tried first.
    Tiers rank health first, then the priority tier if it is requested, then tool quality if it matters, then the
    cut-offs on speed. ``deprioritised`` endpoints are far worse than their peers at what this request needs.
    """

    endpoints: list[Endpoint]
    prices: list[int]
    tiers: list[int]
    deprioritised: frozenset[str]
    preferences: Preferences
    profile: RequestProfile
    state: MarketState

    def best_tier_size(self) -> int:
        """Return the number of endpoints in the best tier; they come first."""
        return self.tiers.count(self.tiers[0])


class StrategyResult(NamedTuple):
    """Hold ``endpoints`` in fallback order, the arms over them, and the score of each for the log.

    ``scores`` are USD per million tokens. With ``redraw`` a failed first choice is followed by a draw from the rest,
    else by the next in order.
    """

    endpoints: Sequence[Endpoint]
    arms: tuple[Arm, ...]
    scores: Sequence[float]
    redraw: bool = False


Strategy = Callable[[StrategyInput], StrategyResult]


def cumulate(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Return the upper edge of each choice's part of [0, 1].

    The last choice with a probability above 0 ends at exactly 1: rounding must not give a draw close to 1 to an
    endpoint without probability.
    """
    edges = list(accumulate(probabilities))
    last = len(edges) - 1
    while last > 0 and probabilities[last] <= 0:
        last -= 1
    edges[last:] = [1.0] * (len(edges) - last)
    return tuple(edges)


def upper_median(values: Sequence[float], default: float = 0.0) -> float:
    """Return the upper median, or ``default`` without values. ``statistics.median`` takes three times as long."""
    return sorted(values)[len(values) // 2] if values else default


def usd(prices: Sequence[int]) -> list[float]:
    """Return prices in nano-USD as USD."""
    return [price / 1e9 for price in prices]
