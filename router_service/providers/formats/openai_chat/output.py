"""Encode the format of the output, and describe a JSON schema in words where the provider takes none."""

from __future__ import annotations

from typing import Any

from router_service.core.generation import OutputFormat
from router_service.providers.formats.openai_chat.dialect import Dialect


def encode_output(output: OutputFormat, dialect: Dialect) -> dict[str, Any]:
    """Return ``response_format``, or nothing for plain text."""
    if output.kind == "text":
        return {}
    if output.kind == "json_object" or not dialect.schemas:
        return {"response_format": {"type": "json_object"}}
    schema: dict[str, Any] = {"name": output.name or "answer"}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    if output.schema is not None:
        schema["schema"] = output.schema
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def with_schema(turns: list[dict[str, Any]], output: OutputFormat, dialect: Dialect) -> list[dict[str, Any]]:
    """Return ``turns`` with the schema as an instruction where it cannot be sent otherwise."""
    if dialect.schemas or output.kind != "json_schema":
        return turns
    shape = "" if output.schema is None else f" that is valid under this JSON schema: {bytes(output.schema).decode()}"
    wish = f"Answer with a JSON object{shape or '.'}"
    if turns and turns[0]["role"] == "system" and isinstance(turns[0]["content"], str):
        return [turns[0] | {"content": f"{turns[0]['content']}\n\n{wish}"}, *turns[1:]]
    return [{"role": "system", "content": wish}, *turns]
