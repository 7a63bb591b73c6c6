"""Read the tools that a request offers, and its choice among them."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.api.skins.messages.blocks import cache_mark
from router_service.api.skins.messages.checked_json import checked, decode_at, invalid
from router_service.core.generation import Tool, ToolChoice
from router_service.core.wire.anthropic import DIALECT, CustomTool, TypedTool, WireToolChoice

_list = msgspec.json.Decoder(list[msgspec.Raw] | None)
_typed = msgspec.json.Decoder(TypedTool)
_custom = msgspec.json.Decoder(CustomTool)
_schema = msgspec.json.Decoder(dict[str, Any])
_choice = msgspec.json.Decoder(WireToolChoice | None)
_MODES = {"auto": "auto", "any": "required", "tool": "tool", "none": "none"}
_KNOWN = frozenset(CustomTool.__struct_fields__)


def read_tools(raw: msgspec.Raw) -> list[Tool]:
    """Return the tools. Raises ``ApiError`` 400 that names the wrong field."""
    return [_tool(one, f"tools.{index}") for index, one in enumerate(decode_at(raw, _list, "tools") or ())]


def _tool(raw: msgspec.Raw, path: str) -> Tool:
    typed = decode_at(raw, _typed, path)
    if typed.type is not None and typed.type != "custom":
        checked(raw, path)
        name = typed.name or typed.mcp_server_name or typed.type
        return Tool(name=name, kind="hosted", cache=cache_mark(typed.cache_control), dialect=DIALECT, raw=raw)
    tool = decode_at(raw, _custom, path)
    decode_at(tool.input_schema, _schema, f"{path}.input_schema")
    # Fields such as defer_loading and input_examples mean something to this dialect alone.
    more = bool(checked(raw, path).keys() - _KNOWN)
    return Tool(
        name=tool.name,
        description=tool.description,
        schema=tool.input_schema,
        strict=tool.strict,
        cache=cache_mark(tool.cache_control),
        dialect=DIALECT if more else None,
        raw=raw if more else None,
    )


def read_tool_choice(raw: msgspec.Raw) -> ToolChoice | None:
    """Return the choice, ``None`` for null. Raises ``ApiError`` 400 that names the wrong field."""
    choice = decode_at(raw, _choice, "tool_choice")
    if choice is None:
        return None
    if choice.type == "tool" and not choice.name:
        raise invalid("tool_choice.name", "the field is required for a choice of type 'tool'")
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    name = choice.name if choice.type == "tool" else None
    return ToolChoice(mode=_MODES[choice.type], name=name, parallel=parallel)  # type: ignore[arg-type]
