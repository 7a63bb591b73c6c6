"""Read the counts of tokens.

Source: Amazon Bedrock API reference: TokenUsage, CacheDetail; Amazon Bedrock user guide: Prompt caching ("inputTokens"
are those neither read from nor written to a cache).
"""

from __future__ import annotations

from typing import Any

from router_service.core.usage import Usage
from router_service.providers.counts import raise_counts, token_count
from router_service.providers.service_tier import served_tier

_INPUT, _OUTPUT = "inputTokens", "outputTokens"
_READ, _WRITTEN = "cacheReadInputTokens", "cacheWriteInputTokens"
_WRITTEN_1H = "1h"


class ConverseMeters:
    """Hold the meters of one answer: for each the last valid count, never lower than before.

    An invalid count is ignored. ``service_tier`` is the tier that has served, if the vendor says.
    """

    __slots__ = ("_found", "service_tier")

    def __init__(self) -> None:
        self._found: dict[str, int] = {}
        self.service_tier: str | None = None

    def update(self, body: dict[str, Any]) -> bool:
        """Read ``usage`` and ``serviceTier`` of ``body``; return whether a count has changed."""
        tier = body.get("serviceTier")
        self.service_tier = served_tier(tier.get("type") if isinstance(tier, dict) else None) or self.service_tier
        usage = body.get("usage")
        if not isinstance(usage, dict):
            return False
        before = dict(self._found)
        raise_counts(self._found, usage, (_INPUT, _OUTPUT, _READ, _WRITTEN))
        details = usage.get("cacheDetails")
        for one in details if isinstance(details, list) else ():
            count = token_count(one.get("inputTokens")) if isinstance(one, dict) else None
            if count is not None and one.get("ttl") == "1h":
                self._found[_WRITTEN_1H] = max(count, self._found.get(_WRITTEN_1H, 0))
        return self._found != before

    def usage(self) -> Usage:
        """Return the counts so far."""
        found = self._found
        hour = found.get(_WRITTEN_1H)
        written = max(found.get(_WRITTEN, 0), hour or 0)
        return Usage(
            prompt_tokens=found.get(_INPUT, 0) + found.get(_READ, 0) + written,
            completion_tokens=found.get(_OUTPUT, 0),
            cached_tokens=found.get(_READ),
            cache_write_tokens=written if hour or _WRITTEN in found else None,
            cache_write_1h_tokens=hour,
        )
