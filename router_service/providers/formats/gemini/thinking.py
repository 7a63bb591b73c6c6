"""Ask for thinking.

Sources: Gemini API docs: Thinking; OpenAI compatibility, "Thinking", for the budget of each effort; OpenRouter docs:
Reasoning Tokens.
"""

from __future__ import annotations

from typing import Any

from router_service.core.generation import ReasoningOptions
from router_service.providers.formats.gemini.model_traits import GeminiTraits
from router_service.providers.reasoning_effort import OFF, nearest_effort, wanted_effort

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
# Share of ``max_tokens`` that thinking may take where only its effort is said: the rest is for the answer.
_SHARE = 0.8


def thinking_config(
    options: ReasoningOptions | None, traits: GeminiTraits, max_tokens: int | None, dropped: set[str]
) -> dict[str, Any]:
    """Return the fields of ``thinkingConfig``; what cannot be said is reported, but for an effort that is the nearest.

    ``max_tokens`` limits thinking and answer together.
    """
    if options is None:
        return {}
    wanted = wanted_effort(options)
    if traits.thinking == "none":
        if wanted not in (None, OFF):
            dropped.add("reasoning")
        if options.summary is not None:
            dropped.add("reasoning.summary")
        if options.max_tokens is not None:
            dropped.add("reasoning.max_tokens")
        return {}
    fields: dict[str, Any] = {}
    if traits.thinking == "budget":
        fields = _budget(options, wanted, traits, max_tokens, dropped)
    else:
        if options.max_tokens is not None:
            dropped.add("reasoning.max_tokens")
        if wanted == OFF:
            dropped.add("reasoning.enabled")
        if traits.thinking == "level" and wanted is not None:
            fields["thinkingLevel"] = str(nearest_effort(wanted, traits.levels)).upper()
        elif wanted not in (None, OFF):
            dropped.add("reasoning")
    if wanted != OFF and not options.exclude and (wanted is not None or options.summary is not None):
        fields["includeThoughts"] = True
    return fields


def _budget(
    options: ReasoningOptions, wanted: str | None, traits: GeminiTraits, max_tokens: int | None, dropped: set[str]
) -> dict[str, Any]:
    least, most = traits.budgets
    if wanted is None:
        return {}
    if wanted == OFF:
        if not traits.stops:
            dropped.add("reasoning.enabled")
        return {"thinkingBudget": 0 if traits.stops else least}
    if options.max_tokens:
        budget = options.max_tokens
    else:
        budget = _BUDGETS.get(wanted, most)
        if max_tokens is not None:
            budget = min(budget, int(max_tokens * _SHARE))
    return {"thinkingBudget": min(max(budget, least), most)}
