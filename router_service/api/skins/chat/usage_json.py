"""Write usage and cost as the reference does: tokens by kind, and US dollars."""

from __future__ import annotations

from typing import Any

from router_service.core.exchange import Exchange
from router_service.core.usage import CostBreakdown, Usage

NANO = 1e9
_NOTHING = CostBreakdown(0, 0, 0, [])


def usage_json(exchange: Exchange) -> dict[str, Any]:
    """Return the ``usage`` object of an answer that was priced; a count that is not known is 0, as SDKs require."""
    usage, cost = exchange.outcome.usage or Usage(), exchange.outcome.cost or _NOTHING
    total = cost.total / NANO
    found = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
            "audio_tokens": usage.audio_prompt_tokens or 0,
            "video_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens or 0,
            "audio_tokens": usage.audio_completion_tokens or 0,
            "image_tokens": usage.image_completion_tokens or 0,
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
    if usage.web_searches is not None:
        # The reference's pages have one name, its specification the other.
        found["server_tool_use"] = found["server_tool_use_details"] = {"web_search_requests": usage.web_searches}
    return found
