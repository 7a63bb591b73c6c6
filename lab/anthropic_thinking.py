"""Refuse what Anthropic does not accept together with extended thinking."""

from __future__ import annotations

from typing import Any

from lab.anthropic_history import blocks
from lab.shapes import RequestRefused

GUIDE = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
CONSULT = f"Please consult our documentation at {GUIDE}"
RULES = "#important-considerations-when-using-extended-thinking"
# With this beta the budget spans all thinking blocks of a turn and may exceed ``max_tokens``.
INTERLEAVED = "interleaved-thinking"
SIGNED = ("thinking", "redacted_thinking")


def check_thinking(body: dict[str, Any], beta: str) -> None:
    """Raise ``RequestRefused`` if thinking is on and a parameter or the last assistant turn does not allow it.

    ``body`` has the documented shape.
    """
    thinking = body.get("thinking", {})
    if thinking.get("type") not in ("enabled", "adaptive"):
        return
    budget = thinking.get("budget_tokens")
    if budget is not None and budget >= body["max_tokens"] and INTERLEAVED not in beta:
        raise RequestRefused(
            f"`max_tokens` must be greater than `thinking.budget_tokens`. {CONSULT}#max-tokens-and-context-window-size"
        )
    mode = "is enabled" if thinking["type"] == "enabled" else "is enabled or in adaptive mode"
    if body.get("temperature", 1) != 1:
        raise RequestRefused(f"`temperature` may only be set to 1 when thinking {mode}. {CONSULT}{RULES}")
    if body.get("top_p", 1) < 0.95:
        at_least = "`top_p` must be greater than or equal to 0.95 or unset when thinking"
        raise RequestRefused(f"{at_least} {mode}. {CONSULT}{RULES}")
    if "top_k" in body:
        raise RequestRefused(f"`top_k` must be unset when thinking {mode}. {CONSULT}{RULES}")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise RequestRefused("Thinking may not be enabled when tool_choice forces tool use.")
    # In adaptive mode the model may not think, so a turn without thinking is one of its own.
    if thinking["type"] == "enabled":
        _check_last_turn(body["messages"])


def _check_last_turn(messages: list[dict[str, Any]]) -> None:
    """Refuse a last assistant turn, which spans its tool results, that does not start with thinking."""
    start = None
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "assistant":
            start = index
        elif not any(block["type"] == "tool_result" for block in blocks(message)):
            break
    found = blocks(messages[start])[:1] if start is not None else []
    if not found or found[0]["type"] in SIGNED:
        return
    raise RequestRefused(
        f"messages.{start}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
        f"`{found[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with a thinking "
        "block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include "
        f"thinking blocks from previous turns. To avoid this requirement, disable `thinking`. {CONSULT}"
    )
