"""Read the counts of tokens, wherever the format reports them.

Sources: Claude docs: Streaming Messages (cumulative usage), Prompt caching (lifetimes), Compaction (iterations);
Claude API reference: Messages, usage; Web search tool, "Usage and pricing".
"""

from __future__ import annotations

from typing import Any

from router_service.core.usage import Usage
from router_service.providers.counts import raise_counts, token_count

_INPUT, _OUTPUT = "input_tokens", "output_tokens"
_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_WRITTEN_5M, _WRITTEN_1H = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
_THINKING = "thinking_tokens"
_SEARCHES, _FETCHES = "web_search_requests", "web_fetch_requests"


class TokenMeters:
    """Hold the meters of one answer: for each the last valid count, never lower than before.

    ``input_tokens`` are those neither read from nor written to a cache. An invalid count is ignored.
    """

    __slots__ = ("_found", "service_tier")

    def __init__(self) -> None:
        self.service_tier: Any = None
        self._found: dict[str, int] = {}

    def update(self, usage: Any) -> bool:
        """Read a ``usage`` object; return whether a count has changed."""
        if not isinstance(usage, dict):
            return False
        self.service_tier = usage.get("service_tier") or self.service_tier
        before = dict(self._found)
        counts = usage if _INPUT in usage or _OUTPUT in usage else _of_chat(usage)
        raise_counts(self._found, counts, (_INPUT, _OUTPUT, _READ, _WRITTEN))
        raise_counts(self._found, usage.get("cache_creation"), (_WRITTEN_5M, _WRITTEN_1H))
        raise_counts(self._found, usage.get("output_tokens_details"), (_THINKING,))
        raise_counts(self._found, usage.get("server_tool_use"), (_SEARCHES, _FETCHES))
        iterations = usage.get("iterations")
        if isinstance(iterations, list):
            # The counts of the message leave out what a compaction used; those of its iterations do not.
            names = (_INPUT, _OUTPUT, _READ, _WRITTEN)
            steps = [step for step in iterations if isinstance(step, dict)]
            raise_counts(
                self._found, {name: sum(token_count(step.get(name)) or 0 for step in steps) for name in names}, names
            )
        return self._found != before

    def usage(self) -> Usage:
        """Return the counts so far."""
        found = self._found
        lifetimes = found.get(_WRITTEN_5M, 0) + found.get(_WRITTEN_1H, 0)
        written = max(found.get(_WRITTEN, 0), lifetimes)
        output = found.get(_OUTPUT, 0)
        reasoning = found.get(_THINKING)
        return Usage(
            prompt_tokens=found.get(_INPUT, 0) + found.get(_READ, 0) + written,
            completion_tokens=output,
            cached_tokens=found.get(_READ),
            cache_write_tokens=written if lifetimes or _WRITTEN in found else None,
            reasoning_tokens=min(reasoning, output) if reasoning is not None else None,
            cache_write_1h_tokens=found.get(_WRITTEN_1H),
            web_searches=found.get(_SEARCHES),
            web_fetches=found.get(_FETCHES),
        )


def _of_chat(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of an imitator that spells them as chat completions do: their prompt has what was cached."""
    details = usage.get("prompt_tokens_details")
    cached = token_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    prompt = token_count(usage.get("prompt_tokens"))
    fresh = None if prompt is None else max(0, prompt - (cached or 0))
    return usage | {_INPUT: fresh, _OUTPUT: usage.get("completion_tokens"), _READ: usage.get(_READ, cached)}
