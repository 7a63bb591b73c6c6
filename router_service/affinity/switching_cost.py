"""Whether leaving an endpoint pays for the prompt cache that is left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data.catalogue.cost import scaled_cost
from data.catalogue.types import Price
from models.selection.decision.utility import USD_PER_SECOND


class EndpointTerms(NamedTuple):
    """An endpoint's list price, and its seconds to the first token where measured."""

    price: Price
    ttft_s: float | None


class ExpectedTurn(NamedTuple):
    """Tokens that are expected: of the prompt, of it in the cache of the endpoint that served last, of the answer."""

    prompt: int
    cached: int
    completion: int


def turn_usd(price: Price, turn: ExpectedTurn) -> float:
    """Return USD of one turn."""
    return scaled_cost(price, turn.prompt - turn.cached, turn.completion, cached=turn.cached).usd


def switching_is_cheaper(
    stay: EndpointTerms,
    others: Sequence[tuple[float, EndpointTerms]],
    turn: ExpectedTurn,
    usd_per_second: float = USD_PER_SECOND,
) -> bool:
    """Whether a draw among ``others`` (weight, terms) costs less on average than staying.

    The others take the whole prompt at full price. A difference of TTFT counts where both are measured. One turn
    is looked at: that a new endpoint's cache would serve the turns after it counts for nothing.
    """
    total = sum(weight for weight, _ in others)
    if total <= 0:
        return False
    uncached = turn._replace(cached=0)
    moving = 0.0
    for weight, terms in others:
        wait = 0.0
        if terms.ttft_s is not None and stay.ttft_s is not None:
            wait = (terms.ttft_s - stay.ttft_s) * usd_per_second
        moving += weight * (turn_usd(terms.price, uncached) + wait)
    return moving / total < turn_usd(stay.price, turn)
