"""Write usage and cost as the reference does: tokens by kind, and US dollars."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from router_service.core.exchange import Exchange
from router_service.core.usage import CostBreakdown, Usage

NANO = 1e9
NO_COST = CostBreakdown(0, 0, 0, [])


# Structs are made and encoded in half of the time that dictionaries take.


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int
    video_tokens: int = 0


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _CostDetails(msgspec.Struct, gc=False):
    upstream_inference_cost: float
    upstream_inference_prompt_cost: float
    upstream_inference_completions_cost: float


class _ServerToolUse(msgspec.Struct, gc=False):
    web_search_requests: int


class ChatUsage(msgspec.Struct, gc=False):
    """Hold the ``usage`` object. Costs are in US dollars."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _PromptDetails
    completion_tokens_details: _CompletionDetails
    cost: float
    is_byok: bool
    cost_details: _CostDetails
    # The reference's pages have one name, its specification the other.
    server_tool_use: _ServerToolUse | UnsetType = UNSET
    server_tool_use_details: _ServerToolUse | UnsetType = UNSET


def usage_json(exchange: Exchange) -> ChatUsage:
    """Return the usage of an answer that was priced; a count that is not known is 0, as SDKs require."""
    usage, cost = exchange.outcome.usage or Usage(), exchange.outcome.cost or NO_COST
    total = cost.total / NANO
    found = ChatUsage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens + usage.completion_tokens,
        _PromptDetails(usage.cached_tokens or 0, usage.all_written_tokens or 0, usage.audio_prompt_tokens or 0),
        _CompletionDetails(
            usage.reasoning_tokens or 0, usage.audio_completion_tokens or 0, usage.image_completion_tokens or 0
        ),
        total,
        False,
        _CostDetails(total, (cost.prompt + cost.cached) / NANO, cost.completion / NANO),
    )
    if usage.web_searches is not None:
        found.server_tool_use = found.server_tool_use_details = _ServerToolUse(usage.web_searches)
    return found
