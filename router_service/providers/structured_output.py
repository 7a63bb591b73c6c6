"""Ask for an answer in a format: natively where the model can, else by a tool that must be called, else in words.

Sources: Claude docs: Structured outputs; Tool use, forcing tool use; Extended thinking, which takes no forced tool.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.generation import OutputFormat, ToolChoice
from router_service.providers.claude_schemas import is_native, without_combinators
from router_service.providers.json_instruction import json_instruction
from router_service.providers.tool_names import ToolNames
from router_service.providers.tool_schemas import decode_schema

_TOOL_NAME = "write_answer"
_DESCRIPTION = "Give the answer to the user by calling this tool. Its input is the complete answer."


class OutputPlan(msgspec.Struct, frozen=True):
    """Hold how the format is asked for: at most one of a native ``format``, a ``tool`` and an ``instruction``."""

    format: dict[str, Any] | None = None
    tool: dict[str, Any] | None = None
    instruction: str | None = None


def plan_output(
    output: OutputFormat, names: ToolNames, choice: ToolChoice | None, *, native: bool, forced: bool
) -> OutputPlan:
    """Return the plan: ``native`` says whether the model knows schemas, ``forced`` whether it can be forced to call.

    Where the client makes the model call a tool of its own, there is no text to format. Raises ``ApiError`` 400 for a
    schema that is not an object.
    """
    if output.kind == "text" or (choice is not None and choice.mode in ("tool", "required")):
        return OutputPlan()
    schema = decode_schema(output.schema, "response_format") if output.schema is not None else None
    if output.kind == "json_object":
        schema = None
    if schema is not None and native and is_native(schema):
        return OutputPlan(format={"type": "json_schema", "schema": schema})
    if not forced or (schema is not None and not _fits_tool(schema)):
        return OutputPlan(instruction=json_instruction(schema))
    return OutputPlan(
        tool={
            "name": names.unused(output.name or _TOOL_NAME),
            "description": f"{_DESCRIPTION} {output.description}" if output.description else _DESCRIPTION,
            "input_schema": schema or {"type": "object", "properties": {}, "additionalProperties": True},
        }
    )


def _fits_tool(schema: dict[str, Any]) -> bool:
    """Return whether the vendor takes ``schema`` as that of a tool's input."""
    return schema.get("type") == "object" and without_combinators(schema) is schema
