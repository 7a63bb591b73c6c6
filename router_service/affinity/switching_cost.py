"""Compare the cost of staying at an endpoint with the cost of losing its prompt cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data.catalogue.cost import scaled_cost
from data.catalogue.price import Price, price_in_force
from models.selection.decision.utility import USD_PER_SECOND


class EndpointTerms(NamedTuple):
    """Hold an endpoint's list price and its mean TTFT in seconds, ``None`` if not measured."""

    price: Price
    ttft_s: float | None


class ExpectedTurn(NamedTuple):
    """Hold expected tokens: of the prompt, of its part in the cache of the last endpoint, and of the completion."""

    prompt: int
    cached: int
    completion: int


def turn_usd(price: Price, turn: ExpectedTurn) -> float:
    """Return USD of one turn. Prices that depend on the time of day count as they are outside of its windows."""
    price = price_in_force(price, turn.prompt, None)
    return scaled_cost(price, turn.prompt - turn.cached, turn.completion, cached=turn.cached).usd


def switching_is_cheaper(
    stay: EndpointTerms,
    others: Sequence[tuple[float, EndpointTerms]],
    turn: ExpectedTurn,
    usd_per_second: float = USD_PER_SECOND,
) -> bool:
    """Return whether a draw among ``others`` (weight, terms) costs less on average than staying.

    The others process the whole prompt at full price. A difference in TTFT is priced at ``usd_per_second`` if both are
    measured. Only one turn is compared: the cache that a new endpoint would have for later turns counts for nothing.
    """
    total = sum(weight for weight, _ in others)
    if total <= 0:
        return False
    uncached = turn._replace(cached=0)
    moving = 0.0
    for weight, terms in others:
        ttft_cost = 0.0
        if terms.ttft_s is not None and stay.ttft_s is not None:
            ttft_cost = (terms.ttft_s - stay.ttft_s) * usd_per_second
        moving += weight * (turn_usd(terms.price, uncached) + ttft_cost)
    return moving / total < turn_usd(stay.price, turn)
