"""A logged request as the router saw it beforehand: its context, its candidates and their prices."""

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
    """What the router knew of a logged request; its category is found out afterwards, if at all."""
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
    """Prompt and completion price of an endpoint of today's catalogue, nano-USD per million tokens."""
    known = {
        endpoint.id: (endpoint.price.prompt, endpoint.price.completion)
        for endpoints in load_catalogue().endpoints.values()
        for endpoint in endpoints
        if endpoint.price is not None
    }
    return known.get


def candidate_of(name: str, score: float | None, prices: PriceLookup, cached_share: float = 0.0) -> CandidateEndpoint:
    """An endpoint of a logged decision; ``score``, USD per million tokens, stands in for a price that is gone."""
    blend = round((score or 0.0) * 1e9)
    prompt, completion = prices(name) or (blend, blend)
    return CandidateEndpoint(name, name.partition(":")[0], prompt, completion, cached_share)


def cached_share(record: Mapping[str, Any]) -> float:
    """How much of the prompt was believed to be in the cache of the endpoint that holds the conversation, [0, 1]."""
    held = record.get("held_tokens")
    return min(held / max(record["estimated_prompt_tokens"], 1), 1.0) if held else 0.0
