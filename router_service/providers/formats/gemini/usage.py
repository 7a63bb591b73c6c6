"""Read the counts of tokens.

Source: Gemini API reference: UsageMetadata ("totalTokenCount" is the sum of prompt, candidates, tool use and thoughts);
Gemini Enterprise Agent Platform reference: trafficType.
"""

from __future__ import annotations

from typing import Any

from router_service.core.usage import Usage
from router_service.providers.counts import raise_counts, token_count
from router_service.providers.service_tier import served_tier
from router_service.providers.wire_format import DecodeContext

_PROMPT, _TOOLS, _CACHED = "promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount"
_CANDIDATES, _THOUGHTS, _TOTAL = "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"
_SEARCHES = "searches"
_TRAFFIC = {"ON_DEMAND": "default", "ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}


class GeminiMeters:
    """Hold the meters of one answer: for each the last valid count, never lower than before.

    An invalid count is ignored. ``service_tier`` is the tier that has served, if the vendor says.
    """

    __slots__ = ("_context", "_found", "service_tier")

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._found: dict[str, int] = {}
        self.service_tier: str | None = None

    def update(self, usage: Any) -> bool:
        """Read ``usageMetadata``; return whether a count has changed."""
        if not isinstance(usage, dict):
            return False
        before = dict(self._found)
        raise_counts(self._found, usage, (_PROMPT, _TOOLS, _CACHED, _CANDIDATES, _THOUGHTS, _TOTAL))
        for field, stem in (("promptTokensDetails", "prompt"), ("candidatesTokensDetails", "completion")):
            details = usage.get(field)
            for one in details if isinstance(details, list) else ():
                count = token_count(one.get("tokenCount")) if isinstance(one, dict) else None
                if count is not None and one.get("modality") in ("AUDIO", "IMAGE"):
                    self._raise(f"{stem}/{one['modality']}", count)
        tier = usage.get("serviceTier")
        traffic = usage.get("trafficType")
        named = _TRAFFIC.get(traffic) if isinstance(traffic, str) else None
        self.service_tier = served_tier(tier.lower() if isinstance(tier, str) else named) or self.service_tier
        return self._found != before

    def search(self, count: int) -> bool:
        """Note that the vendor has made ``count`` searches; return whether that is news."""
        return count > 0 and self._raise(_SEARCHES, count)

    def usage(self) -> Usage:
        """Return the counts so far. No more can be cached than was read."""
        found = self._found
        read = found.get(_PROMPT, 0) + found.get(_TOOLS, 0)
        thoughts, written = found.get(_THOUGHTS), found.get(_CANDIDATES, 0)
        if thoughts and read + written != found.get(_TOTAL):
            # A server whose total has no room for thoughts counts them among the candidates.
            written += thoughts
        cached = found.get(_CACHED)
        return Usage(
            prompt_tokens=read,
            completion_tokens=written,
            cached_tokens=None if cached is None else min(cached, read),
            reasoning_tokens=None if thoughts is None else min(thoughts, written),
            audio_prompt_tokens=found.get("prompt/AUDIO"),
            image_prompt_tokens=found.get("prompt/IMAGE"),
            audio_completion_tokens=found.get("completion/AUDIO"),
            image_completion_tokens=found.get("completion/IMAGE"),
            web_searches=found.get(_SEARCHES),
            cache_made_tokens=self._context.cache_made_tokens,
            cache_token_minutes=self._context.cache_token_minutes,
        )

    def _raise(self, name: str, count: int) -> bool:
        known = self._found.get(name)
        self._found[name] = max(count, known or 0)
        return self._found[name] != known
