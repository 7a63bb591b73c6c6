"""What a strategy is given and what it returns."""

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
    """The eligible endpoints, best tier first, then cheapest.

    ``prices`` are blended list prices (nano-USD per million tokens). Of ``tiers`` the lowest number is
    tried first: no outage, then the priority tier where it is asked for, then good tool calls where they matter, then
    the cut-offs on speed.
    ``flagged`` endpoints are far worse than their peers at what this request needs.
    """

    endpoints: list[Endpoint]
    prices: list[int]
    tiers: list[int]
    flagged: frozenset[str]
    preferences: Preferences
    profile: RequestProfile
    state: MarketState

    def best(self) -> int:
        """How many endpoints are in the best tier; they come first."""
        return self.tiers.count(self.tiers[0])


class StrategyResult(NamedTuple):
    """``endpoints`` in fallback order, the arms over them, and the figure each was judged by (for the log).

    With ``redraw`` a failed first choice is followed by a draw from the rest, not by the next in order.
    """

    endpoints: Sequence[Endpoint]
    arms: tuple[Arm, ...]
    scores: Sequence[float]
    redraw: bool = False


Strategy = Callable[[StrategyInput], StrategyResult]


def cumulate(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Upper edges of each choice's part of [0, 1].

    The last choice with any probability reaches to 1 exactly: rounding must not hand a draw close to 1
    to an endpoint that has none.
    """
    edges = list(accumulate(probabilities))
    last = len(edges) - 1
    while last > 0 and probabilities[last] <= 0:
        last -= 1
    edges[last:] = [1.0] * (len(edges) - last)
    return tuple(edges)


def upper_median(values: Sequence[float], otherwise: float = 0.0) -> float:
    """Upper median, ``otherwise`` of nothing. ``statistics.median`` costs three times as much."""
    return sorted(values)[len(values) // 2] if values else otherwise


def usd(prices: Sequence[int]) -> list[float]:
    """nano-USD as USD."""
    return [price / 1e9 for price in prices]
