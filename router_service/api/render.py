"""Render usage and cost for the client."""

from __future__ import annotations

from typing import Any

from data.catalogue.types import Endpoint
from router_service.accounting.cost import cost_of
from router_service.core.exchange import Exchange
from router_service.core.usage import CostBreakdown, Usage

NANO = 1e9


def settle_usage(exchange: Exchange, usage: Usage | None, endpoint: Endpoint) -> dict[str, Any]:
    """Price ``usage`` into the exchange, by the tier that served, and return the ``usage`` object of the response.

    Nothing is billed where the provider reports no usage: tokens are never estimated.
    """
    usage = usage or Usage()
    exchange.usage = usage
    exchange.cost = cost_of(usage, endpoint.price_served(exchange.service_tier))
    return _usage_json(usage, exchange.cost)


def _usage_json(usage: Usage, cost: CostBreakdown) -> dict[str, Any]:
    total = cost.total / NANO
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens or 0,
            "audio_tokens": 0,
            "image_tokens": 0,
            "accepted_prediction_tokens": None,
            "rejected_prediction_tokens": None,
        },
        "cost": total,
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": total,
            "upstream_inference_prompt_cost": (cost.prompt + cost.cached) / NANO,
            "upstream_inference_completions_cost": cost.completion / NANO,
        },
    }
