"""Write usage and cost as the reference does in this API: tokens by kind, and US dollars."""

from __future__ import annotations

from router_service.api.skins.usage_json import NANO, NO_COST
from router_service.core.exchange import Exchange
from router_service.core.usage import Usage
from router_service.core.wire.responses import CostDetails, HostedToolUse, ReasoningCounts, ResponseUsage, TokenCounts


def response_usage(exchange: Exchange) -> ResponseUsage:
    """Return the usage of an answer that was priced; a count that is not known is 0, as SDKs require."""
    used, cost = exchange.outcome.usage or Usage(), exchange.outcome.cost or NO_COST
    total = cost.total / NANO
    return ResponseUsage(
        input_tokens=used.prompt_tokens,
        input_tokens_details=TokenCounts(used.cached_tokens or 0, used.all_written_tokens or 0),
        output_tokens=used.completion_tokens,
        output_tokens_details=ReasoningCounts(used.reasoning_tokens or 0),
        total_tokens=used.prompt_tokens + used.completion_tokens,
        cost=total,
        is_byok=False,
        cost_details=CostDetails(total, (cost.prompt + cost.cached) / NANO, cost.completion / NANO),
        server_tool_use_details=None if used.web_searches is None else HostedToolUse(used.web_searches),
    )
