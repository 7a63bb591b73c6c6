"""Encode the wish for reasoning in the form that a provider takes.

Sources: OpenRouter docs: Reasoning Tokens (shares of ``max_tokens``, the nearest supported effort); the pages that
``dialects.toml`` names.
"""

from __future__ import annotations

from typing import Any

from router_service.core.generation import ReasoningOptions, ToolChoice
from router_service.providers.formats.openai_chat.dialect import Dialect
from router_service.providers.reasoning_effort import OFF, nearest_effort, wanted_effort

# Shares of ``max_tokens`` that reasoning may take, and the bounds of the tokens that follow from them.
_SHARES = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}
_MIN_BUDGET, _MAX_BUDGET = 1024, 128_000
# A flag of its own is all that these forms have.
_SWITCHES = frozenset({"switch", "thinking", "enable_thinking", "template"})


def encode_reasoning(
    options: ReasoningOptions | None, dialect: Dialect, dropped: set[str], *, limit: int | None = None
) -> dict[str, Any]:
    """Return the fields that ask for reasoning; ``limit`` is the request's ``max_tokens``.

    What the form cannot say is reported, but for an effort that became the nearest one.
    """
    if options is None:
        return {}
    form = dialect.reasoning_request
    if form == "object":
        return _object(options)
    if options.summary is not None:
        dropped.add("reasoning.summary")
    if options.max_tokens is not None and not dialect.thinking_budget:
        dropped.add("reasoning.max_tokens")
    wanted = wanted_effort(options)
    if wanted is None:
        return {}
    if form == "none":
        dropped.add("reasoning.enabled" if options.enabled is False else "reasoning")
        return {}
    fields: dict[str, Any] = {}
    if form in _SWITCHES:
        fields = switch_fields(dialect, on=wanted != OFF)
        if dialect.thinking_budget and wanted != OFF and (budget := _budget(options, limit)) is not None:
            fields["thinking_budget"] = budget
        if wanted == OFF or not dialect.efforts:
            return fields
    effort = nearest_effort(wanted, dialect.efforts)
    if wanted == OFF != effort:
        dropped.add("reasoning.enabled")
    # Effort is what the client has named, or a form of its own: a switch alone asks for the model's usual effort.
    if effort is not None and (form == "effort" or options.effort is not None):
        fields["reasoning_effort"] = effort
    return fields


def without_thinking(
    options: ReasoningOptions | None, choice: ToolChoice | None, dialect: Dialect, dropped: set[str], *, stream: bool
) -> ReasoningOptions | None:
    """Return ``options``, or those that stop reasoning where a forced call or a response without a stream needs that.

    Reasoning that was asked for is reported then.
    """
    forced = dialect.forcing_stops_thinking and choice is not None and choice.mode in ("required", "tool")
    if not forced and (stream or not dialect.thinks_only_streamed):
        return options
    if options is not None and wanted_effort(options) not in (None, OFF):
        dropped.add("reasoning")
    return ReasoningOptions(enabled=False)


def switch_fields(dialect: Dialect, *, on: bool) -> dict[str, Any]:
    """Return the field that turns reasoning on or off in a form that is such a switch."""
    match dialect.reasoning_request:
        case "switch":
            return {"reasoning": {"enabled": on}}
        case "thinking":
            return {"thinking": {"type": dialect.thinking_on if on else "disabled"}}
        case "enable_thinking":
            return {"enable_thinking": on}
    return {"chat_template_kwargs": {"enable_thinking": on}}


def _object(options: ReasoningOptions) -> dict[str, Any]:
    wanted = {
        "enabled": options.enabled,
        "effort": options.effort,
        "max_tokens": options.max_tokens,
        "summary": options.summary,
    }
    found = {name: value for name, value in wanted.items() if value is not None}
    return {"reasoning": found} if found else {}


def _budget(options: ReasoningOptions, limit: int | None) -> int | None:
    """Return the tokens for reasoning: the client's, or ``max(min(limit × share, 128000), 1024)``."""
    if options.max_tokens is not None:
        return options.max_tokens
    share = _SHARES.get(options.effort or "")
    if share is None or limit is None:
        return None
    return max(min(int(limit * share), _MAX_BUDGET), _MIN_BUDGET)
