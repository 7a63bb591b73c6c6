"""Restore what the router knew of a logged request beforehand: its context, its candidates and their prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from data.catalogue import load_catalogue
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


def list_price_lookup() -> PriceLookup:
    """Return a lookup of today's list prices by endpoint: prompt and completion, nano-USD per million tokens."""
    prices_by_endpoint = {
        endpoint.id: (endpoint.price.prompt, endpoint.price.completion)
        for endpoints in load_catalogue().endpoints.values()
        for endpoint in endpoints
        if endpoint.price is not None
    }
    return prices_by_endpoint.get


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
