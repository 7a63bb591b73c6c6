"""Restore what the router knew of a logged request beforehand: its context, its candidates and their prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from data.catalogue import load_catalogue
from data.catalogue.price import Price, price_in_force
from models.selection.decision.features import (
    CandidateEndpoint,
    RequestContext,
    hour_of_week,
    planned_limit,
    planned_tokens,
)

PriceLookup = Callable[[str], tuple[int, int] | None]


def context_of(record: Mapping[str, Any]) -> RequestContext:
    """Return the context of a logged request. Its category is left out, since it is found only afterwards."""
    attempts = record.get("attempts")
    return RequestContext(
        planned_tokens(record["estimated_prompt_tokens"]),
        planned_limit(record["max_tokens"]),
        record["stream"],
        record["tools"] > 0,
        hour_of_week(record["started_at"].timestamp()),
        (attempts[0]["model"] if attempts else record["model"]) or "",
        None,
        record.get("modality") or "text",
        record.get("client_region"),
    )


def list_prices_for(record: Mapping[str, Any]) -> PriceLookup:
    """Return a lookup of today's list prices by endpoint: prompt and completion, nano-USD per million tokens.

    They are those that the router plans with for the length and the hour of the logged request.
    """
    return partial(_list_price, record["estimated_prompt_tokens"], hour_of_week(record["started_at"].timestamp()))


def _list_price(prompt_tokens: int, hour: int, endpoint: str) -> tuple[int, int] | None:
    price = _prices_by_endpoint().get(endpoint)
    if price is None:
        return None
    if price.meters is not None:
        price = price_in_force(price, prompt_tokens, 60 * hour)
    return price.prompt, price.completion


@cache
def _prices_by_endpoint() -> dict[str, Price]:
    every = (endpoint for endpoints in load_catalogue().endpoints.values() for endpoint in endpoints)
    return {endpoint.id: endpoint.price for endpoint in every if endpoint.price is not None}


def candidate_of(name: str, score: float | None, prices: PriceLookup, cached_share: float = 0.0) -> CandidateEndpoint:
    """Return an endpoint of a logged decision.

    ``score``, USD per million tokens, stands in for both prices where the catalogue no longer has the endpoint.
    """
    blend = round((score or 0.0) * 1e9)
    prompt, completion = prices(name) or (blend, blend)
    return CandidateEndpoint(name, name.partition(":")[0], prompt, completion, cached_share)


def cached_share(record: Mapping[str, Any]) -> float:
    """Return the share of the prompt, [0, 1], that was expected in the cache of the conversation's endpoint."""
    held = record.get("held_tokens")
    return min(held / max(record["estimated_prompt_tokens"], 1), 1.0) if held else 0.0
