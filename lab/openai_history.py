"""Refuse histories whose messages OpenAI does not accept in this order."""

from __future__ import annotations

from typing import Any

from lab.shapes import RequestRefused

ORPHAN = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: "
)


def check_history(messages: list[dict[str, Any]]) -> None:
    """Raise ``RequestRefused`` if content is missing or tool messages do not answer the calls before them.

    ``messages`` have the documented shape.
    """
    offered: list[str] = []
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            _check_answer(message, index, offered)
            waiting = [call for call in waiting if call != message["tool_call_id"]]
            continue
        if waiting:
            raise RequestRefused(UNANSWERED + ", ".join(waiting), param=f"messages.[{index}].role")
        _check_content(message, index)
        offered = [call["id"] for call in message.get("tool_calls", ())] if message["role"] == "assistant" else []
        waiting = list(offered)
    if waiting:
        raise RequestRefused(UNANSWERED + ", ".join(waiting), param=f"messages.[{len(messages) - 1}].role")


def _check_answer(message: dict[str, Any], index: int, offered: list[str]) -> None:
    if "tool_call_id" not in message:
        message_text = "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'."
        raise RequestRefused(message_text, param=f"messages.[{index}].tool_call_id")
    if not offered:
        raise RequestRefused(ORPHAN, param=f"messages.[{index}].role")
    if message["tool_call_id"] not in offered:
        unknown = f"'tool_call_id' of '{message['tool_call_id']}' not found in 'tool_calls' of previous message."
        raise RequestRefused(f"Invalid parameter: {unknown}", param=f"messages.[{index}].tool_call_id")
    _check_content(message, index)


def _check_content(message: dict[str, Any], index: int) -> None:
    """Refuse null content, except of functions, for which an assistant's calls, refusal or audio may stand."""
    stands_in = any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))
    allowed = message["role"] == "function" or (message["role"] == "assistant" and stands_in)
    if message.get("content") is None and not allowed:
        null = "Invalid value for 'content': expected a string, got null."
        raise RequestRefused(null, param=f"messages.[{index}].content")
