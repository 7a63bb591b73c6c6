"""Translate tools and the choice among them.

Sources: Gemini API docs: Function calling; Gemini API reference: Tool, ToolConfig.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import Tool, ToolChoice
from router_service.providers.custom_tools import CUSTOM_SCHEMA
from router_service.providers.formats.gemini.json_schema import reduced_schema
from router_service.providers.formats.gemini.names import DIALECT, FunctionNames
from router_service.providers.tool_schemas import decode_schema, require_object

GOOGLE_SEARCH: dict[str, Any] = {"googleSearch": {}}
_MODES = {"none": "NONE", "required": "ANY", "tool": "ANY"}


def declared_functions(tools: Iterable[Tool], names: FunctionNames, dropped: set[str]) -> list[dict[str, Any]]:
    """Return the declarations of functions. Raises ``ApiError`` 400 for a malformed schema."""
    found: dict[str, dict[str, Any]] = {}
    for tool in tools:
        if tool.kind == "hosted":
            continue
        if tool.cache is not None:
            dropped.add("cache_control")
        if tool.strict:
            dropped.add("strict")
        declared: dict[str, Any] = {"name": names.sent(tool.name)}
        if tool.description:
            declared["description"] = tool.description
        schema = _parameters(tool, dropped)
        if schema is not None:
            declared["parametersJsonSchema"] = schema
        # Two functions of one name cannot be told apart.
        if declared["name"] in found:
            dropped.add("tools")
        found.setdefault(declared["name"], declared)
    return list(found.values())


def _parameters(tool: Tool, dropped: set[str]) -> dict[str, Any] | None:
    """Return the schema of a function's arguments, ``None`` for a function without any."""
    if tool.kind == "custom":
        return CUSTOM_SCHEMA
    if tool.schema is None:
        return None
    owner = f"the tool {tool.name!r}"
    schema, lost = reduced_schema(decode_schema(tool.schema, owner))
    described = require_object(schema, owner)
    if lost:
        dropped.add("tools.parameters")
    return described


def hosted_tools(tools: Iterable[Tool], dropped: set[str]) -> list[dict[str, Any]]:
    """Return the tools that the vendor itself runs; one that runs at another provider is left out."""
    found: list[dict[str, Any]] = []
    for tool in tools:
        if tool.kind != "hosted":
            continue
        if tool.dialect == DIALECT and tool.raw is not None:
            found.append(msgspec.json.decode(tool.raw, type=dict[str, Any]))
        else:
            dropped.add("tools")
    return found


def calling_config(
    choice: ToolChoice | None, names: FunctionNames, functions: Sequence[dict[str, Any]], dropped: set[str]
) -> dict[str, Any]:
    """Return the fields of ``functionCallingConfig``, none for the vendor's default.

    Raises ``ApiError`` 400 for a call that has to be made where no such function is offered.
    """
    if choice is None:
        return {}
    if not functions:
        if choice.mode in ("required", "tool"):
            raise ApiError("invalid_request", "tool_choice asks for a call, but no tools are offered; add tools")
        return {}
    if choice.parallel is False and choice.mode != "none":
        dropped.add("parallel_tool_calls")
    if choice.mode == "auto":
        return {}
    found: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "tool":
        name = names.sent(choice.name or "")
        if all(declared["name"] != name for declared in functions):
            raise ApiError("invalid_request", f"tool_choice names {choice.name!r}, which is none of the tools; add it")
        found["allowedFunctionNames"] = [name]
    return found
