"""Read the tools that a request offers, and its choice among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import EXPECTED, bad_field, decode_field, schema_of
from router_service.api.skins.responses.namespaces import flat_name
from router_service.core.generation import Tool, ToolChoice
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.core.wire.responses import (
    DIALECT,
    ChosenTool,
    FreeformTool,
    FunctionTool,
    NamespaceTool,
    ToolChoiceItem,
    ToolHead,
)

_array = msgspec.json.Decoder(list[Raw] | None)
_head = msgspec.json.Decoder(ToolHead)
_function = msgspec.json.Decoder(FunctionTool)
_custom = msgspec.json.Decoder(FreeformTool)
_namespace = msgspec.json.Decoder(NamespaceTool)
_object = msgspec.json.Decoder(dict[str, Any])
_choice = msgspec.json.Decoder(str | ToolChoiceItem | None)
_TOOL = "an object such as {'type': 'function', 'name': 'get_weather', 'parameters': {…}}"
_CHOICES = "'auto', 'none', 'required', or an object such as {'type': 'function', 'name': 'get_weather'}"
_KNOWN = frozenset({*FunctionTool.__struct_fields__, "type"})


class OfferedTools(msgspec.Struct):
    """Hold the tools. ``namespaces`` has the namespace and the name in it of each tool that is sent under another."""

    tools: list[Tool] = []
    namespaces: dict[str, tuple[str, str]] = {}

    def add(self, raws: Iterable[Raw], where: str) -> None:
        """Add tools. Raises ``ApiError`` 400 naming the tool and the field that is wrong."""
        for index, raw in enumerate(raws):
            self._add(bytes(raw), f"{where}[{index}]")

    def _add(self, raw: bytes, where: str) -> None:
        kind = decode_field(raw, _head, where, _TOOL).type
        if kind == "namespace":
            self._add_namespace(decode_field(raw, _namespace, where, _TOOL), where)
        elif kind == "function":
            self.tools.append(_function_tool(raw, where))
        elif kind == "custom":
            self.tools.append(_custom_tool(raw, where))
        else:
            decode_field(raw, _object, where, _TOOL)
            self.tools.append(Tool(name=kind, kind="hosted", dialect=DIALECT, raw=Raw(raw)))

    def _add_namespace(self, found: NamespaceTool, where: str) -> None:
        """Add the tools of a namespace under names that every provider takes.

        What the namespace says of itself goes to its first tool.
        """
        about = f"Tools of {found.name}: {found.description}\n\n" if found.description else ""
        for index, one in enumerate(found.tools):
            place, raw = f"{where}.tools[{index}]", bytes(one)
            kind = decode_field(raw, _head, place, _TOOL).type
            if kind not in ("function", "custom"):
                raise bad_field(f"{place}.type", f"is {kind[:40]!r}; a namespace has tools of type function and custom")
            tool = _function_tool(raw, place) if kind == "function" else _custom_tool(raw, place)
            name = flat_name(found.name, tool.name)
            self.namespaces[name] = (found.name, tool.name)
            tool.description = (about + (tool.description or "")) or None
            tool.name = name
            if tool.kind == "custom":
                tool.raw = _chat_custom(tool, decode_field(raw, _custom, place))
            else:
                tool.dialect = tool.raw = None
            self.tools.append(tool)
            about = ""


def read_array(raw: bytes, where: str) -> Sequence[Raw]:
    """Return the tools at ``where`` as JSON. Raises ``ApiError`` 400 for what is no array."""
    return decode_field(raw, _array, where, f"an array of tools, each {_TOOL}") or ()


def _function_tool(raw: bytes, where: str) -> Tool:
    found = decode_field(raw, _function, where, _TOOL)
    # Fields such as defer_loading and allowed_callers mean something to this dialect alone.
    more = bool(decode_field(raw, _object, where).keys() - _KNOWN)
    return Tool(
        name=found.name,
        description=found.description,
        schema=schema_of(found.parameters, f"{where}.parameters"),
        strict=found.strict,
        dialect=DIALECT if more else None,
        raw=Raw(raw) if more else None,
    )


def _custom_tool(raw: bytes, where: str) -> Tool:
    """Return a custom tool with its grammar, as the chat dialect writes it: the middle has no word for grammars."""
    found = decode_field(raw, _custom, where, "an object such as {'type': 'custom', 'name': 'run_sql'}")
    tool = Tool(name=found.name, kind="custom", description=found.description, dialect=CHAT)
    tool.raw = _chat_custom(tool, found)
    return tool


def _chat_custom(tool: Tool, found: FreeformTool) -> Raw:
    custom: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        custom["description"] = tool.description
    form = found.format
    if form is not None and form.type == "grammar":
        custom["format"] = {"type": "grammar", "grammar": {"syntax": form.syntax, "definition": form.definition}}
    elif form is not None:
        custom["format"] = {"type": form.type}
    return Raw(msgspec.json.encode({"type": "custom", "custom": custom}))


class ChosenTools(msgspec.Struct):
    """Hold the choice; ``allowed`` are the names of the tools that may be called, ``None`` for all.

    ``names_hosted`` is true for a choice that only this dialect can express.
    """

    choice: ToolChoice | None = None
    allowed: frozenset[str] | None = None
    names_hosted: bool = False


def read_choice(raw: bytes) -> ChosenTools:
    """Return what ``tool_choice`` says. Raises ``ApiError`` 400 naming what is wrong."""
    match decode_field(raw, _choice, "tool_choice", _CHOICES):
        case None:
            return ChosenTools()
        case "auto" | "none" | "required" as mode:
            return ChosenTools(ToolChoice(mode=mode))
        case "any":
            return ChosenTools(ToolChoice(mode="required"))
        case str() as other:
            raise bad_field("tool_choice", f"is wrong: invalid value {other[:40]!r}; send {_CHOICES}")
        case ToolChoiceItem(type="allowed_tools") as found:
            if found.tools is None:
                raise bad_field("tool_choice", f"has no tools; send {EXPECTED['tools']}")
            names = {_name(one, f"tool_choice.tools[{i}]") for i, one in enumerate(found.tools)}
            return ChosenTools(ToolChoice(mode=found.mode or "auto"), frozenset(names))
        case ToolChoiceItem(type="function" | "custom") as found:
            return ChosenTools(ToolChoice(mode="tool", name=_name(found, "tool_choice")))
        case _:
            return ChosenTools(names_hosted=True)


def _name(found: ChosenTool, where: str) -> str:
    """Return the name of the tool as it is sent; a tool that the provider runs is named by its type."""
    if found.type not in ("function", "custom"):
        return found.type
    named = found.function or found.custom or found
    if not named.name:
        raise bad_field(where, f"names no {found.type}; send an object such as {{'type': 'function', 'name': 'tide'}}")
    return flat_name(named.namespace, named.name)
