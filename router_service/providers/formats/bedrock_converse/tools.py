"""Translate tools and the choice among them.

Sources: Amazon Bedrock API reference: ToolConfiguration, ToolSpecification, ToolChoice; Amazon Bedrock user guide: Call
a tool with the Converse API.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import Message, Tool, ToolChoice
from router_service.core.parts import ToolCall
from router_service.providers.claude_schemas import allows_strict, object_schema, without_combinators
from router_service.providers.custom_tools import CUSTOM_SCHEMA
from router_service.providers.formats.bedrock_converse.cache import Block, SentBlock
from router_service.providers.formats.bedrock_converse.model_traits import ConverseTraits
from router_service.providers.formats.bedrock_converse.names import DIALECT
from router_service.providers.tool_names import ToolNames


def offered_tools(
    tools: Iterable[Tool], names: ToolNames, traits: ConverseTraits, dropped: set[str]
) -> list[SentBlock]:
    """Return the tools; one that runs at another provider is left out.

    Raises ``ApiError`` 400 for a schema that is not of an object.
    """
    found: dict[str, SentBlock] = {}
    for tool in tools:
        body = _hosted(tool) if tool.kind == "hosted" else {"toolSpec": _function(tool, names, traits, dropped)}
        if body is None:
            dropped.add("tools")
            continue
        # The vendor refuses two tools of one name.
        name = tool_name(body) or str(body)
        if name in found:
            dropped.add("tools")
        found.setdefault(name, SentBlock(body, tool.cache))
    return list(found.values())


def tool_name(body: Block) -> str | None:
    """Return the name of a tool as it is sent."""
    name: str | None = body.get("toolSpec", {}).get("name")
    return name


def tool_spec(name: str, schema: dict[str, Any], description: str | None = None) -> Block:
    """Return the specification of a function."""
    described = {"description": description} if description and description.strip() else {}
    return {"name": name, **described, "inputSchema": {"json": schema}}


def _hosted(tool: Tool) -> Block | None:
    if tool.dialect != DIALECT or tool.raw is None:
        return None
    found: Block = msgspec.json.decode(tool.raw, type=dict[str, Any])
    return found


def _function(tool: Tool, names: ToolNames, traits: ConverseTraits, dropped: set[str]) -> Block:
    name = names.sent(tool.name)
    if tool.kind == "custom":
        return tool_spec(name, CUSTOM_SCHEMA, tool.description)
    written = object_schema(tool.schema, f"the tool {tool.name!r}")
    schema = without_combinators(written)
    if schema is not written:
        dropped.add("tools")
    found = tool_spec(name, schema, tool.description)
    if tool.strict and traits.native_schema and allows_strict(schema):
        found["strict"] = True
    elif tool.strict:
        dropped.add("strict")
    return found


def called_tools(messages: Iterable[Message], names: ToolNames) -> list[SentBlock]:
    """Return tools for the calls of a history whose request offers none: the vendor refuses calls without tools."""
    called = {
        names.sent(part.name): None
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCall) and part.kind != "hosted"
    }
    return [SentBlock({"toolSpec": tool_spec(name, {"type": "object"})}) for name in called]


def chosen(
    choice: ToolChoice | None, names: ToolNames, tools: Sequence[SentBlock], *, kinds: frozenset[str], dropped: set[str]
) -> Block | None:
    """Return ``toolChoice``, or ``None`` for the vendor's default.

    ``kinds`` are the kinds of choice beside ``auto`` that the model takes; any other choice becomes the default.
    Raises ``ApiError`` 400 for a tool that is not offered.
    """
    if choice is None:
        return None
    if not tools:
        if choice.mode in ("required", "tool"):
            raise ApiError("invalid_request", "tool_choice asks for a call, but no tools are offered; add tools")
        return None
    if choice.parallel is False and choice.mode != "none":
        dropped.add("parallel_tool_calls")
    if choice.mode == "tool":
        name = names.sent(choice.name or "")
        if all(tool_name(tool.body) != name for tool in tools):
            raise ApiError("invalid_request", f"tool_choice names {choice.name!r}, which is none of the tools; add it")
        if "tool" in kinds:
            return {"tool": {"name": name}}
        if "any" in kinds and len(tools) == 1:
            return {"any": {}}
    elif choice.mode == "required" and "any" in kinds:
        return {"any": {}}
    elif choice.mode in ("auto", "none"):
        return None
    dropped.add("tool_choice")
    return None
