"""Translate tools and the choice among them.

Sources: Claude API reference: Messages, Create a Message, tools and tool_choice; Claude docs: Tool use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import Message, Tool, ToolChoice
from router_service.core.parts import ToolCall
from router_service.providers.claude_schemas import (
    allows_strict,
    object_schema,
    without_combinators,
)
from router_service.providers.custom_tools import CUSTOM_SCHEMA
from router_service.providers.formats.anthropic_messages.cache import cache_control
from router_service.providers.formats.anthropic_messages.names import DIALECT
from router_service.providers.tool_names import ToolNames

_MODES = {"auto": "auto", "none": "none", "required": "any"}


def offered_tools(tools: Iterable[Tool], names: ToolNames, *, strict: bool, dropped: set[str]) -> list[dict[str, Any]]:
    """Return the tools. ``strict`` says whether the model knows strict tools.

    A tool that runs at another provider is left out. Raises ``ApiError`` 400 for a schema that is not of an object.
    """
    found: dict[str, dict[str, Any]] = {}
    for tool in tools:
        translated = _hosted(tool) if tool.kind == "hosted" else _function(tool, names, strict, dropped)
        if translated is None:
            dropped.add("tools")
            continue
        if tool.cache is not None:
            translated["cache_control"] = cache_control(tool.cache)
        # The vendor refuses two tools of one name; a toolset has none.
        name = str(translated.get("name") or translated)
        if name in found:
            dropped.add("tools")
        found.setdefault(name, translated)
    return list(found.values())


def _hosted(tool: Tool) -> dict[str, Any] | None:
    if tool.dialect != DIALECT or tool.raw is None:
        return None
    found: dict[str, Any] = msgspec.json.decode(tool.raw, type=dict[str, Any])
    return found


def _function(tool: Tool, names: ToolNames, strict: bool, dropped: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if tool.dialect == DIALECT and tool.raw is not None:
        found = msgspec.json.decode(tool.raw, type=dict[str, Any])
    found["name"] = names.sent(tool.name)
    if tool.description:
        found["description"] = tool.description
    if tool.kind == "custom":
        return found | {"input_schema": CUSTOM_SCHEMA}
    written = object_schema(tool.schema, f"the tool {tool.name!r}")
    found["input_schema"] = schema = without_combinators(written)
    if schema is not written:
        dropped.add("tools")
    found.pop("strict", None)
    if tool.strict:
        if strict and allows_strict(schema):
            found["strict"] = True
        else:
            dropped.add("strict")
    return found


def called_tools(messages: Iterable[Message], names: ToolNames) -> list[dict[str, Any]]:
    """Return tools for the calls of a history whose request offers none: the vendor refuses calls without tools."""
    called = {
        names.sent(part.name): None
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCall) and part.kind != "hosted"
    }
    return [{"name": name, "input_schema": {"type": "object"}} for name in called]


def tool_choice(
    choice: ToolChoice | None, names: ToolNames, offered: Mapping[str, Any], *, forced: bool, dropped: set[str]
) -> dict[str, Any] | None:
    """Return the choice, or ``None`` for the vendor's default.

    ``offered`` has the names of the tools as they are sent. Without ``forced``, as while it thinks, the model cannot be
    made to call a tool: the choice becomes ``auto``. Raises ``ApiError`` 400 for a tool that is not offered.
    """
    if choice is None:
        return None
    if not offered:
        if choice.mode in ("required", "tool"):
            raise ApiError("invalid_request", "tool_choice asks for a call, but no tools are offered; add tools")
        return None
    if choice.mode == "tool":
        name = choice.name or ""
        sent = name if name in offered else names.sent(name)
        if sent not in offered:
            raise ApiError("invalid_request", f"tool_choice names {name!r}, which is none of the tools; add it")
        found: dict[str, Any] = {"type": "tool", "name": sent}
    else:
        found = {"type": _MODES[choice.mode]}
    if found["type"] in ("any", "tool") and not forced:
        found = {"type": "auto"}
        dropped.add("tool_choice")
    if choice.parallel is False and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return found


def output_choice(tool: dict[str, Any], choice: dict[str, Any] | None, *, others: bool) -> dict[str, Any]:
    """Return the choice that makes the model call ``tool``, or one of the client's tools if it may call ``others``."""
    if others and (choice is None or choice["type"] != "none"):
        return (choice or {}) | {"type": "any"}
    return {"type": "tool", "name": tool["name"], "disable_parallel_tool_use": True}
