"""Translate tools, the choice among them, and the older ``functions`` to the canonical request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from router_service.api.skins.chat_content import cache_mark
from router_service.api.skins.field_errors import EXPECTED, bad_field, decode_field, schema_of
from router_service.core.generation import Tool, ToolChoice
from router_service.core.wire.chat import (
    DIALECT,
    AllowedTools,
    FunctionDefinition,
    NamedTool,
    ToolChoiceObject,
    ToolDefinition,
    ToolReference,
)

_array = msgspec.json.Decoder(list[Raw] | None)
_tool = msgspec.json.Decoder(ToolDefinition)
_function = msgspec.json.Decoder(FunctionDefinition)
_choice = msgspec.json.Decoder(str | ToolChoiceObject | None)
_function_choice = msgspec.json.Decoder(str | NamedTool | None)
_flag = msgspec.json.Decoder(bool | None)
_CHOICES = "'auto', 'none', 'required', or an object such as {'type': 'function', 'function': {'name': 'get_weather'}}"
_FUNCTION_CHOICES = "'auto', 'none', or an object such as {'name': 'get_weather'}"


def read_tools(fields: Mapping[str, Raw]) -> tuple[list[Tool], ToolChoice | None]:
    """Return the tools and the choice. Raises ``ApiError`` 400 naming the tool and the field that is wrong.

    A choice among allowed tools leaves out the others, which every provider understands.
    """
    raws = _read_array(fields, "tools", EXPECTED["tools"])
    tools = [_read_tool(raw, f"tools[{index}]") for index, raw in enumerate(raws)]
    older = _read_array(fields, "functions", "an array of functions with 'name' and 'parameters'")
    for index, raw in enumerate(older):
        where = f"functions[{index}]"
        tools.append(_function_tool(decode_field(bytes(raw), _function, where, "an object with 'name'"), where))
    choice, allowed = _read_choice(fields)
    if allowed is not None:
        names = {_name(reference, "tool_choice.allowed_tools.tools") for reference in allowed.tools}
        tools = [tool for tool in tools if tool.name in names]
    if "parallel_tool_calls" in fields:
        parallel = decode_field(bytes(fields["parallel_tool_calls"]), _flag, "parallel_tool_calls", "true or false")
        if parallel is not None:
            choice = choice or ToolChoice()
            choice.parallel = parallel
    return tools, choice


def _read_array(fields: Mapping[str, Raw], name: str, expected: str) -> Sequence[Raw]:
    return (decode_field(bytes(fields[name]), _array, name, expected) or ()) if name in fields else ()


def _read_tool(raw: Raw, where: str) -> Tool:
    found = decode_field(bytes(raw), _tool, where, EXPECTED["tools"])
    if found.type == "function":
        if found.function is None:
            raise bad_field(where, f"has no function; send {EXPECTED['tools.function']}")
        tool = _function_tool(found.function, f"{where}.function")
    elif found.type == "custom":
        if found.custom is None:
            raise bad_field(where, "has no custom; send an object with 'name'")
        custom = found.custom
        tool = Tool(name=custom.name, kind="custom", description=custom.description, dialect=DIALECT, raw=raw)
    else:
        tool = Tool(name=found.type, kind="hosted", dialect=DIALECT, raw=raw)
    if found.cache_control is not None:
        tool.cache = cache_mark(found.cache_control)
    return tool


def _function_tool(found: FunctionDefinition, where: str) -> Tool:
    return Tool(
        name=found.name,
        description=found.description,
        schema=schema_of(found.parameters, f"{where}.parameters"),
        strict=found.strict,
        cache=cache_mark(found.cache_control),
    )


def _read_choice(fields: Mapping[str, Raw]) -> tuple[ToolChoice | None, AllowedTools | None]:
    """Return the choice, and the tools that it allows where it is among some of them."""
    found: str | ToolChoiceObject | NamedTool | None = None
    where = "tool_choice"
    if where in fields:
        found = decode_field(bytes(fields[where]), _choice, where, _CHOICES)
    if found is None and "function_call" in fields:
        where = "function_call"
        found = decode_field(bytes(fields[where]), _function_choice, where, _FUNCTION_CHOICES)
    match found:
        case None:
            return None, None
        case "auto" | "none" | "required":
            return ToolChoice(mode=found), None
        case "any":
            return ToolChoice(mode="required"), None
        case str():
            expected = _CHOICES if where == "tool_choice" else _FUNCTION_CHOICES
            raise bad_field(where, f"is wrong: invalid value {found[:40]!r}; send {expected}")
        case NamedTool():
            return ToolChoice(mode="tool", name=found.name), None
        case ToolChoiceObject():
            if found.allowed_tools is not None:
                return ToolChoice(mode=found.allowed_tools.mode), found.allowed_tools
            return ToolChoice(mode="tool", name=_name(found, where)), None


def _name(reference: ToolReference, where: str) -> str:
    """Return the name of the tool; a tool that the provider runs is named by its type."""
    if reference.type not in ("function", "custom"):
        return reference.type
    named = reference.function or reference.custom
    if named is None:
        raise bad_field(where, f"names no {reference.type}; send {_CHOICES}")
    return named.name
