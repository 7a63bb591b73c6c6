"""Translate chat bodies to messages bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.anthropic_messages.params import (
    DEFAULT_MAX_TOKENS,
    EFFORT_SHARES,
    MAX_BUDGET,
    MIN_BUDGET,
    SERVICE_TIERS,
    UNCHANGED,
)

DATA_URL = re.compile(r"^data:([\w/+.-]+);base64,(.*)$", re.DOTALL)


def translate(fields: Mapping[str, msgspec.Raw], upstream_model: str, completion_limit: int | None) -> dict[str, Any]:
    """Return the messages body. Raises ``ApiError`` 400 for malformed messages or tools."""
    try:
        chat: dict[str, Any] = {name: msgspec.json.decode(raw) for name, raw in fields.items()}
        return _body(chat, upstream_model, completion_limit)
    except (KeyError, TypeError, AttributeError, msgspec.DecodeError) as error:
        raise ApiError("invalid_request", f"messages or tools are malformed near {error}") from None


def _body(chat: dict[str, Any], upstream_model: str, completion_limit: int | None) -> dict[str, Any]:
    system, messages = _messages(chat["messages"])
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens") or completion_limit or DEFAULT_MAX_TOKENS
    body: dict[str, Any] = {"model": upstream_model, "max_tokens": limit, "messages": messages}
    if system:
        body["system"] = system
    body.update({name: chat[name] for name in UNCHANGED if chat.get(name) is not None})
    tier = SERVICE_TIERS.get(chat.get("service_tier") or "")
    if tier:
        body["service_tier"] = tier
    stop = chat.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    _add_tools(body, chat)
    budget = _budget(chat, limit)
    if budget:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        body.pop("temperature", None)
        body.pop("top_k", None)
    if isinstance(chat.get("user"), str):
        body["metadata"] = {"user_id": chat["user"]}
    return body


def _messages(chat: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return system blocks, and turns in which neighbours of one role are joined, as the format requires."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in chat:
        role = message["role"]
        if role in ("system", "developer"):
            system += _blocks(message.get("content"))
            continue
        blocks = _tool_result(message) if role == "tool" else _turn(message)
        turn_role = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == turn_role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": turn_role, "content": blocks})
    return system, turns


def _tool_result(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = _blocks(message.get("content"))
    return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content}]


def _turn(message: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for detail in message.get("reasoning_details") or ():
        if detail.get("type") == "reasoning.text" and detail.get("signature"):
            blocks.append({"type": "thinking", "thinking": detail["text"], "signature": detail["signature"]})
        elif detail.get("type") == "reasoning.encrypted":
            blocks.append({"type": "redacted_thinking", "data": detail["data"]})
    blocks += _blocks(message.get("content"))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
        blocks.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments})
    return blocks


def _blocks(content: Any) -> list[dict[str, Any]]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        block: dict[str, Any] = {"type": "text", "text": part["text"]}
    elif kind == "image_url":
        block = {"type": "image", "source": _source(part["image_url"]["url"])}
    elif kind == "file" and part["file"].get("file_data"):
        block = {"type": "document", "source": _source(part["file"]["file_data"])}
    else:
        raise ApiError("invalid_request", f"content parts of type {kind!r} cannot be sent to this provider")
    if part.get("cache_control"):
        block["cache_control"] = part["cache_control"]
    return block


def _source(url: str) -> dict[str, Any]:
    inline = DATA_URL.match(url)
    if inline:
        return {"type": "base64", "media_type": inline[1], "data": inline[2]}
    return {"type": "url", "url": url}


def _add_tools(body: dict[str, Any], chat: dict[str, Any]) -> None:
    if not chat.get("tools"):
        return
    body["tools"] = [_tool(tool["function"]) for tool in chat["tools"] if tool["type"] == "function"]
    choice = chat.get("tool_choice")
    translated: dict[str, Any] | None = None
    if isinstance(choice, dict):
        translated = {"type": "tool", "name": choice["function"]["name"]}
    elif choice in ("auto", "none", "required"):
        translated = {"type": "any" if choice == "required" else choice}
    if chat.get("parallel_tool_calls") is False:
        translated = (translated or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    if translated:
        body["tool_choice"] = translated


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    tool = {"name": function["name"], "input_schema": schema}
    if function.get("description"):
        tool["description"] = function["description"]
    return tool


def _budget(chat: dict[str, Any], limit: int) -> int | None:
    """Return the tokens for thinking, or ``None`` if there is no request for it or no room below ``limit``.

    They are ``max(min(max_tokens × share, 128000), 1024)``; source: the reference's reasoning documentation.
    """
    reasoning = chat.get("reasoning") or {}
    effort = reasoning.get("effort") or chat.get("reasoning_effort")
    if reasoning.get("max_tokens"):
        budget = max(int(reasoning["max_tokens"]), MIN_BUDGET)
    elif effort in EFFORT_SHARES or reasoning.get("enabled"):
        budget = max(min(int(limit * EFFORT_SHARES.get(str(effort), 0.5)), MAX_BUDGET), MIN_BUDGET)
    else:
        return None
    return budget if budget < limit else None
