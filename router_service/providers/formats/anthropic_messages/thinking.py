"""Decide whether and how the model thinks.

Sources: the reference's reasoning documentation (shares and limits of the budget, effort and verbosity); Claude docs:
Extended thinking, Thinking, Effort.
"""

from __future__ import annotations

from typing import Any

from router_service.core.generation import GenerationRequest, ReasoningOptions
from router_service.providers.formats.anthropic_messages.model_traits import ModelTraits, nearest_effort
from router_service.providers.formats.anthropic_messages.names import DIALECT
from router_service.providers.formats.anthropic_messages.turns import Turn, is_prefilled, lacks_thinking

# Share of max_tokens that reasoning may take.
EFFORT_SHARES = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}
MIN_BUDGET = 1024
MAX_BUDGET = 128_000
# Kinds of thinking without a budget, which a client of this dialect may ask for by name.
_STEERED = ("adaptive", "between_tools")


def thinking_field(
    request: GenerationRequest, traits: ModelTraits, limit: int, turns: list[Turn], dropped: set[str]
) -> dict[str, Any] | None:
    """Return the field ``thinking``, or ``None`` to send none; ``limit`` is the request's ``max_tokens``.

    A budget is not sent where the vendor would refuse it: in a tool loop whose last turn has no thinking block, before
    a last turn of the assistant, and without room below ``limit``. ``dropped`` names it then.
    """
    options = request.reasoning or ReasoningOptions()
    if options.enabled is False or options.effort == "none":
        return _disabled(traits, dropped)
    written = request.extras.get(DIALECT, {}).get("thinking")
    own: dict[str, Any] = written if isinstance(written, dict) else {}
    if own.get("type") in _STEERED and traits.adaptive:
        return own
    wished = bool(options.enabled or options.effort or options.max_tokens)
    if not wished:
        return None
    if traits.adaptive and not (traits.budget and options.max_tokens):
        if options.max_tokens and not options.effort:
            dropped.add("reasoning.max_tokens")
        return {"type": "adaptive", "display": own.get("display") or ("omitted" if options.exclude else "summarized")}
    budget = thinking_budget(options, limit)
    if budget >= limit or lacks_thinking(turns) or is_prefilled(turns):
        dropped.add("reasoning")
        return None
    display = {"display": own["display"]} if own.get("display") else {}
    return {"type": "enabled", "budget_tokens": budget} | display


def thinking_budget(options: ReasoningOptions, limit: int) -> int:
    """Return the tokens for thinking: ``max(min(max_tokens × share, 128000), 1024)``, or the client's at least 1024."""
    if options.max_tokens:
        return max(options.max_tokens, MIN_BUDGET)
    return max(min(int(limit * EFFORT_SHARES.get(options.effort or "", 0.5)), MAX_BUDGET), MIN_BUDGET)


def _disabled(traits: ModelTraits, dropped: set[str]) -> dict[str, Any] | None:
    if traits.always_thinks:
        dropped.add("reasoning")
        return None
    return {"type": "disabled"} if traits.thinks else None


def effort_of(
    request: GenerationRequest, traits: ModelTraits, thinking: dict[str, Any] | None, dropped: set[str]
) -> str | None:
    """Return ``output_config.effort``: ``verbosity``, else the effort of reasoning without a budget, else ``None``."""
    if request.verbosity is not None:
        if traits.efforts:
            return nearest_effort(request.verbosity, traits.efforts)
        dropped.add("verbosity")
    effort = request.reasoning.effort if request.reasoning else None
    if effort in (None, "none") or thinking is None or thinking["type"] != "adaptive":
        return None
    return nearest_effort(effort or "", traits.efforts)
