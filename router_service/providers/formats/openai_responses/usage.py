"""Read the counts of tokens of a response.

Sources: the types ``ResponseUsage`` and ``ToolUsage`` of the ``openai`` package 3.54; xAI docs: Responses, usage
(``cost_in_usd_ticks``, calls of server-side tools); OpenRouter docs: usage accounting. Servers that imitate the API
spell counts as chat completions do.
"""

from __future__ import annotations

from typing import Any

from router_service.core.usage import Usage
from router_service.providers.counts import raise_counts, token_count, usd_nano

_INPUT, _OUTPUT, _TOTAL = "input_tokens", "output_tokens", "total_tokens"
_CACHED, _WRITTEN, _REASONING = "cached_tokens", "cache_write_tokens", "reasoning_tokens"
_SEARCHES = "web_searches"
_TICKS_OF_A_USD = 10_000_000_000


class ResponseMeters:
    """Hold the meters of one answer: for each the last valid count, never lower than before.

    An invalid count is ignored.
    """

    __slots__ = ("_found", "_nano")

    def __init__(self) -> None:
        self._found: dict[str, int] = {}
        self._nano: int | None = None

    def update(self, response: dict[str, Any]) -> bool:
        """Read the counts of a response object; return whether one has changed."""
        before = (dict(self._found), self._nano)
        usage = response.get("usage")
        if isinstance(usage, dict):
            raise_counts(self._found, usage, (_INPUT, _OUTPUT, _TOTAL, _CACHED))
            of_chat = {_INPUT: usage.get("prompt_tokens"), _OUTPUT: usage.get("completion_tokens")}
            raise_counts(self._found, of_chat, of_chat)
            for details in ("input_tokens_details", "prompt_tokens_details"):
                raise_counts(self._found, usage.get(details), (_CACHED, _WRITTEN))
            for details in ("output_tokens_details", "completion_tokens_details"):
                raise_counts(self._found, usage.get(details), (_REASONING,))
            self._search(_calls(usage.get("server_side_tool_usage_details"), "web_search_calls", "x_search_calls"))
            nano = usd_nano(usage.get("cost_in_usd_ticks"), per_usd=_TICKS_OF_A_USD)
            nano = usd_nano(usage.get("cost")) if nano is None else nano
            self._nano = self._nano if nano is None else nano
        tools = response.get("tool_usage")
        if isinstance(tools, dict):
            self._search(_calls(tools.get("web_search"), "num_requests"))
        return (self._found, self._nano) != before

    def usage(self) -> Usage:
        """Return the counts so far. No more can be cached than was read, and no more reasoned than was written."""
        found = self._found
        read, written, reasoning = found.get(_INPUT, 0), found.get(_OUTPUT, 0), found.get(_REASONING)
        if reasoning and read + written + reasoning == found.get(_TOTAL):
            # Some providers, xAI among them, count reasoning apart.
            written += reasoning
        cached = found.get(_CACHED)
        return Usage(
            prompt_tokens=read,
            completion_tokens=written,
            cached_tokens=None if cached is None else min(cached, read),
            # A zero says no more than that the format has the field.
            cache_write_tokens=found.get(_WRITTEN) or None,
            reasoning_tokens=None if reasoning is None else min(reasoning, written),
            web_searches=found.get(_SEARCHES),
            reported_nano=self._nano,
        )

    def _search(self, count: int) -> None:
        if count:
            self._found[_SEARCHES] = max(count, self._found.get(_SEARCHES, 0))


def _calls(counts: Any, *names: str) -> int:
    return sum(token_count(counts.get(name)) or 0 for name in names) if isinstance(counts, dict) else 0
