"""Translate tools and the choice among them.

Sources: OpenAI API reference: Create a response, tools and tool_choice; OpenAI docs: Function calling, custom tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import Tool, ToolChoice
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.providers.custom_tools import CUSTOM_SCHEMA
from router_service.providers.formats.openai_responses.dialect import ResponsesDialect
from router_service.providers.formats.openai_responses.names import DIALECT
from router_service.providers.tool_names import ToolNames
from router_service.providers.tool_schemas import decode_schema

_object_decoder = msgspec.json.Decoder(dict[str, Any])
_TEXT_SCHEMA = CUSTOM_SCHEMA | {"additionalProperties": False}
_NAMED = ("function", "custom")


def sent_tools(
    tools: Iterable[Tool], names: ToolNames, dialect: ResponsesDialect, dropped: set[str]
) -> list[dict[str, Any]]:
    """Return the tools, without those that run at another provider. Raises ``ApiError`` 400 for a malformed schema."""
    found: dict[str, dict[str, Any]] = {}
    for tool in tools:
        if tool.cache is not None:
            dropped.add("cache_control")
        if tool.kind == "hosted":
            if tool.dialect != DIALECT or tool.raw is None:
                dropped.add("tools")
                continue
            sent = _object_decoder.decode(tool.raw)
        elif tool.kind == "custom":
            sent = _custom_tool(tool, names, dialect)
        else:
            sent = _function_tool(tool, names)
        # Two tools of one name cannot be told apart.
        name = str(sent.get("name") or sent)
        if name in found:
            dropped.add("tools")
        found.setdefault(name, sent)
    return list(found.values())


def _own_fields(tool: Tool) -> dict[str, Any]:
    return _object_decoder.decode(tool.raw) if tool.dialect == DIALECT and tool.raw is not None else {}


def _described(tool: Tool) -> dict[str, Any]:
    return {"description": tool.description} if tool.description else {}


def _function_tool(tool: Tool, names: ToolNames) -> dict[str, Any]:
    return (
        _own_fields(tool)
        | {"type": "function", "name": names.sent(tool.name)}
        | _described(tool)
        # The vendor makes a schema strict unless it is told not to; other dialects never do.
        | {"parameters": _parameters(tool), "strict": bool(tool.strict)}
    )


def _parameters(tool: Tool) -> Any:
    if tool.schema is None:
        return {"type": "object", "properties": {}}
    schema = decode_schema(tool.schema, f"the tool {tool.name!r}")
    return tool.schema if "type" in schema else {"type": "object", "properties": {}} | schema


def _custom_tool(tool: Tool, names: ToolNames, dialect: ResponsesDialect) -> dict[str, Any]:
    name = names.sent(tool.name)
    if not dialect.custom_tools:
        return {"type": "function", "name": name, **_described(tool), "parameters": _TEXT_SCHEMA, "strict": True}
    return _own_fields(tool) | {"type": "custom", "name": name} | _described(tool) | _format_of(tool)


def _format_of(tool: Tool) -> dict[str, Any]:
    """Return the format of a custom tool that the chat dialect describes; there a grammar is an object of its own."""
    if tool.dialect != CHAT or tool.raw is None:
        return {}
    custom = _object_decoder.decode(tool.raw).get("custom")
    found = custom.get("format") if isinstance(custom, dict) else None
    if not isinstance(found, dict):
        return {}
    grammar = found.get("grammar")
    return {"format": {"type": "grammar", **grammar} if isinstance(grammar, dict) else found}


def sent_choice(
    choice: ToolChoice | None, names: ToolNames, tools: Iterable[Mapping[str, Any]], own: Any
) -> dict[str, Any]:
    """Return the fields ``tool_choice`` and ``parallel_tool_calls``; ``own`` is the choice as this dialect writes it.

    Raises ``ApiError`` 400 for a call that has to be made where no such tool is offered.
    """
    offered = list(tools)
    forced = choice is not None and choice.mode in ("required", "tool")
    if not offered:
        if forced:
            raise ApiError("invalid_request", "tool_choice asks for a call, but no tools are offered; add tools")
        return {}
    fields: dict[str, Any] = {}
    if isinstance(own, dict):
        fields["tool_choice"] = _with_names(own, names)
    elif choice is not None and choice.mode == "tool":
        fields["tool_choice"] = _chosen(choice.name or "", names, offered)
    elif choice is not None:
        fields["tool_choice"] = choice.mode
    if choice is not None and choice.parallel is not None:
        fields["parallel_tool_calls"] = choice.parallel
    return fields


def _with_names(own: dict[str, Any], names: ToolNames) -> dict[str, Any]:
    """Return a choice of this dialect with the names of its functions and custom tools as they are sent."""
    found = dict(own)
    if found.get("type") in _NAMED and isinstance(found.get("name"), str):
        found["name"] = names.sent(found["name"])
    if isinstance(found.get("tools"), list):
        found["tools"] = [_with_names(one, names) if isinstance(one, dict) else one for one in found["tools"]]
    return found


def _chosen(name: str, names: ToolNames, offered: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    sent = names.sent(name)
    for tool in offered:
        if tool.get("name") == sent and tool["type"] in _NAMED:
            return {"type": tool["type"], "name": sent}
        if tool["type"] == name:
            return {"type": name}
    raise ApiError("invalid_request", f"tool_choice names {name!r}, which is none of the tools; add it")
