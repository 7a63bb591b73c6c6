"""Refuse histories whose messages and blocks Anthropic does not accept, in this order or at all."""

from __future__ import annotations

from typing import Any

from lab.shapes import RequestRefused
from lab.signatures import Signatures

NOT_EMPTY = "all messages must have non-empty content except for the optional final assistant message"
SYSTEM_FOLLOWS = (
    "role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result; the "
    "directive-only form (content: [] with output_config) is accepted at any position"
)
SYSTEM_PRECEDES = (
    "role 'system' must precede an 'assistant' message or end the array; the directive-only form (content: [] with "
    "output_config) is accepted at any position"
)
ROLES = ("user", "assistant", "system")


def check_history(messages: list[dict[str, Any]], signatures: Signatures) -> None:
    """Raise ``RequestRefused`` for wrong roles, empty content, unpaired tool blocks and foreign signatures.

    ``messages`` have the documented shape.
    """
    if not messages:
        raise RequestRefused("messages: at least one message is required")
    _check_roles(messages)
    _check_texts(messages)
    for index, message in enumerate(messages):
        _check_tool_results(messages, index)
        _check_signed(message, index, signatures)
    _check_hosted(messages)


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the content of ``message`` as blocks."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_roles(messages: list[dict[str, Any]]) -> None:
    for index, message in enumerate(messages):
        if message["role"] not in ROLES:
            raise RequestRefused(
                f'messages: Unexpected role "{message["role"]}". Allowed roles are "user" or "assistant". For '
                "instructions on how to use tools, see "
                "https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview"
            )
        if message["role"] != "system" or (message["content"] == [] and "output_config" in message):
            continue
        before = messages[index - 1] if index else None
        hosted = before is not None and before["role"] == "assistant" and _ends_hosted(before)
        if before is None or (before["role"] != "user" and not hosted):
            raise RequestRefused(f"messages.{index}: {SYSTEM_FOLLOWS}")
        if index + 1 < len(messages) and messages[index + 1]["role"] != "assistant":
            raise RequestRefused(f"messages.{index}: {SYSTEM_PRECEDES}")
    if messages[0]["role"] != "user":
        raise RequestRefused('messages: first message must use the "user" role')


def _ends_hosted(message: dict[str, Any]) -> bool:
    found = blocks(message)
    return bool(found) and found[-1]["type"].endswith("_tool_result")


def _check_texts(messages: list[dict[str, Any]]) -> None:
    final = messages[-1] if messages[-1]["role"] == "assistant" else None
    for index, message in enumerate(messages):
        if not message["content"]:
            if message is final or "output_config" in message:
                continue
            raise RequestRefused(f"messages.{index}: {NOT_EMPTY}")
        found = blocks(message)
        for number, block in enumerate(found):
            if block["type"] != "text":
                continue
            if not block["text"] and block.get("cache_control"):
                where = f"messages.{index}.content.{number}.text"
                raise RequestRefused(f"{where}: cache_control cannot be set for empty text blocks")
            if not block["text"]:
                raise RequestRefused("messages: text content blocks must be non-empty")
            if message is final and number == len(found) - 1 and block["text"] != block["text"].rstrip():
                raise RequestRefused("messages: final assistant content cannot end with trailing whitespace")
            if not block["text"].strip():
                raise RequestRefused("messages: text content blocks must contain non-whitespace text")


def _check_tool_results(messages: list[dict[str, Any]], index: int) -> None:
    """Refuse calls of message ``index`` without results right after them, and results without calls right before."""
    message = messages[index]
    calls = _ids(message, "tool_use") if message["role"] == "assistant" else []
    for number, block in enumerate(blocks(message)):
        if block["type"] == "tool_use" and calls.count(block["id"]) > 1:
            raise RequestRefused(f"messages.{index}.content.{number}: `tool_use` ids must be unique")
    following = messages[index + 1] if index + 1 < len(messages) else None
    if calls:
        answered = _leading_results(following) if following is not None and following["role"] == "user" else []
        missing = [call for call in calls if call not in answered]
        if missing:
            raise RequestRefused(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
    before = messages[index - 1] if index else None
    offered = _ids(before, "tool_use") if before is not None and before["role"] == "assistant" else []
    seen: set[str] = set()
    for number, block in enumerate(blocks(message)):
        if block["type"] != "tool_result":
            continue
        where, call = f"messages.{index}.content.{number}", block["tool_use_id"]
        if call not in offered:
            raise RequestRefused(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each `tool_result` block "
                "must have a corresponding `tool_use` block in the previous message."
            )
        if call in seen:
            single = "each tool_use must have a single result. Found multiple `tool_result` blocks with id"
            raise RequestRefused(f"{where}: {single}: {call}")
        seen.add(call)


def _ids(message: dict[str, Any], kind: str) -> list[str]:
    return [block["id"] for block in blocks(message) if block["type"] == kind]


def _leading_results(message: dict[str, Any]) -> list[str]:
    """Return the ids of the results before any other block: results come first."""
    found = []
    for block in blocks(message):
        if block["type"] != "tool_result":
            break
        found.append(block["tool_use_id"])
    return found


def _check_hosted(messages: list[dict[str, Any]]) -> None:
    """Refuse hosted calls without results, except at the end, where a turn may pause, and results without calls."""
    waiting: dict[str, str] = {}
    for index, message in enumerate(messages):
        if waiting and message["role"] != "assistant":
            call, name = next(iter(waiting.items()))
            without = f"was found without a corresponding `{name}_tool_result` block"
            raise RequestRefused(f"messages.{index - 1}: `{name}` tool use with id `{call}` {without}")
        for number, block in enumerate(blocks(message)):
            kind = block["type"]
            if kind == "server_tool_use":
                waiting[block["id"]] = block["name"]
            elif kind.endswith("_tool_result"):
                if block["tool_use_id"] not in waiting:
                    raise RequestRefused(
                        f"messages.{index}.content.{number}: unexpected `tool_use_id` found in `{kind}` blocks: "
                        f"{block['tool_use_id']}. Each `{kind}` block must have a corresponding `server_tool_use` "
                        "block before it."
                    )
                del waiting[block["tool_use_id"]]


def _check_signed(message: dict[str, Any], index: int, signatures: Signatures) -> None:
    """Refuse what the lab did not sign, or did sign and somebody changed."""
    for number, block in enumerate(blocks(message)):
        where = f"messages.{index}.content.{number}"
        if block["type"] == "thinking" and not signatures.is_signature(block["signature"], block["thinking"]):
            raise RequestRefused(f"{where}: Invalid `signature` in `thinking` block")
        if block["type"] == "redacted_thinking" and not signatures.is_redacted(block["data"]):
            raise RequestRefused(f"{where}: Invalid `data` in `redacted_thinking` block")
        if block["type"] != "web_search_tool_result" or not isinstance(block["content"], list):
            continue
        for at, result in enumerate(block["content"]):
            content = result.get("encrypted_content") if isinstance(result, dict) else None
            if not isinstance(content, str) or not signatures.is_encrypted(content):
                search = "Invalid `encrypted_content` in `search_result` block"
                raise RequestRefused(f"{where}.web_search_tool_result.content.{at}: {search}")
