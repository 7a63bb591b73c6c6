"""Decide whether and how a Claude model thinks.

Sources: the reference's reasoning documentation (shares and limits of the budget, effort and verbosity); Claude docs:
Extended thinking, Thinking, Effort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router_service.core.generation import GenerationRequest, ReasoningOptions
from router_service.core.wire.anthropic import DIALECT
from router_service.providers.claude_traits import ClaudeTraits, nearest_claude_effort, thinking_budget

# Kinds of thinking without a budget, which a client of this dialect may ask for by name.
_STEERED = ("adaptive", "between_tools")


def claude_thinking_field(
    request: GenerationRequest, traits: ClaudeTraits, limit: int, *, fits: Callable[[], bool], dropped: set[str]
) -> dict[str, Any] | None:
    """Return the field ``thinking``, or ``None`` to send none; ``limit`` is the request's ``max_tokens``.

    A budget is not sent where the vendor would refuse it: where the turns do not let the model think, as ``fits`` says,
    and without room below ``limit``. ``dropped`` names it then.
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
    if budget >= limit or not fits():
        dropped.add("reasoning")
        return None
    display = {"display": own["display"]} if own.get("display") else {}
    return {"type": "enabled", "budget_tokens": budget} | display


def _disabled(traits: ClaudeTraits, dropped: set[str]) -> dict[str, Any] | None:
    if traits.always_thinks:
        dropped.add("reasoning")
        return None
    return {"type": "disabled"} if traits.thinks else None


def claude_effort(
    request: GenerationRequest, traits: ClaudeTraits, thinking: dict[str, Any] | None, dropped: set[str]
) -> str | None:
    """Return ``output_config.effort``: ``verbosity``, else the effort of reasoning without a budget, else ``None``."""
    if request.verbosity is not None:
        if traits.efforts:
            return nearest_claude_effort(request.verbosity, traits.efforts)
        dropped.add("verbosity")
    effort = request.reasoning.effort if request.reasoning else None
    if effort in (None, "none") or thinking is None or thinking["type"] != "adaptive":
        return None
    return nearest_claude_effort(effort or "", traits.efforts)
