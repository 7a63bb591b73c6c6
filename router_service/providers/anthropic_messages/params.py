"""List the fields of a chat body that the messages format has. All other fields are dropped and reported."""

from __future__ import annotations

UNCHANGED = ("temperature", "top_p", "top_k")
TRANSLATED = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice"}
    | {"parallel_tool_calls", "reasoning", "reasoning_effort", "stream", "user", "service_tier"}
)
# The format's names for the use of committed capacity; other tiers have no meaning there.
SERVICE_TIERS = {
    "auto": "auto",
    "default": "standard_only",
    "standard": "standard_only",
    "standard_only": "standard_only",
}
DEFAULT_MAX_TOKENS = 4096
# Share of max_tokens that reasoning may take; source: the reference's reasoning documentation.
EFFORT_SHARES = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}
MIN_BUDGET = 1024
MAX_BUDGET = 128_000
