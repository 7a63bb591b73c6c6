"""Encode the format of the output, reduced to what a provider takes; the rest is asked for in words."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import OutputFormat
from router_service.providers.formats.openai_chat.dialect import Dialect

_ANY_OBJECT = {"name": "answer", "schema": {"type": "object"}}
# Members of a schema object whose values are schemas, by name or in a list.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_MAX_DEPTH = 100


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
        schema["schema"] = _fitted_schema(output.schema, dialect.schema_absent, dropped)
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


def _fitted_schema(raw: msgspec.Raw, absent: Collection[str], dropped: set[str]) -> Any:
    """Return the schema without the keywords ``absent``; the same bytes if it has none of them."""
    if not absent or not any(f'"{name}"'.encode() in bytes(raw) for name in absent):
        return raw
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError("invalid_request", "The schema of response_format must be JSON; send a JSON schema") from None
    if not _strip(found, absent, 0):
        return raw
    dropped.add("response_format.schema")
    return found


def _strip(schema: Any, absent: Collection[str], depth: int) -> bool:
    """Remove keywords from ``schema``, in place; return whether it had any. Names of members are no keywords."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return False
    found = [name for name in absent if name in schema]
    for name in found:
        del schema[name]
    inner: list[Any] = []
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, dict):
            inner += value.values()
        elif name in _LISTED and isinstance(value, list):
            inner += value
        elif name in _SINGLE:
            inner.append(value)
    stripped = [_strip(value, absent, depth + 1) for value in inner]
    return bool(found) or any(stripped)
