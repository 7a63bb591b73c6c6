"""Encode the format of the output, reduced to what a provider takes; the rest is asked for in words."""

from __future__ import annotations

from typing import Any

from router_service.core.generation import OutputFormat
from router_service.providers.formats.openai_chat.dialect import Dialect
from router_service.providers.formats.openai_chat.schema_subset import fitted_schema

_ANY_OBJECT = {"name": "answer", "schema": {"type": "object"}}


def encode_output(output: OutputFormat, dialect: Dialect, dropped: set[str]) -> dict[str, Any]:
    """Return ``response_format``, or nothing for plain text and where the format is asked for in words alone.

    Keywords that are left out of the schema are reported as ``response_format.schema``.
    """
    if output.kind == "text":
        return {}
    if output.kind == "json_object" or not dialect.schemas:
        if dialect.json_object:
            return {"response_format": {"type": "json_object"}}
        return {"response_format": {"type": "json_schema", "json_schema": _ANY_OBJECT}} if dialect.schemas else {}
    schema: dict[str, Any] = {"name": output.name or "answer"}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    if output.schema is not None:
        schema["schema"] = fitted_schema(output.schema, dialect, dropped)
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def asks_in_words(output: OutputFormat, dialect: Dialect) -> bool:
    """Return whether no field of the dialect says all of what is asked for."""
    if output.kind == "json_schema":
        return not dialect.schemas
    return output.kind == "json_object" and not (dialect.json_object or dialect.schemas)


def with_schema(turns: list[dict[str, Any]], output: OutputFormat, dialect: Dialect) -> list[dict[str, Any]]:
    """Return ``turns`` with the schema as an instruction where it cannot be sent otherwise."""
    if not asks_in_words(output, dialect):
        return turns
    shape = "." if output.schema is None else f" that is valid under this JSON schema: {bytes(output.schema).decode()}"
    wish = f"Answer with a JSON object{shape}"
    if turns and turns[0]["role"] == "system" and isinstance(turns[0]["content"], str):
        return [turns[0] | {"content": f"{turns[0]['content']}\n\n{wish}"}, *turns[1:]]
    return [{"role": "system", "content": wish}, *turns]
