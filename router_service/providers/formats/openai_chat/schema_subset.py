"""Reduce the schema of an output to what a provider takes of the language."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.formats.openai_chat.dialect import Dialect

# Members of a schema object whose values are schemas, by name or in a list.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
# Keywords that say something of values of one type alone.
_OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset(
        {"properties", "patternProperties", "additionalProperties", "required", "propertyNames", "dependentSchemas"}
        | {"dependentRequired", "minProperties", "maxProperties"}
    ),
    "array": frozenset(
        {"items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains"}
    ),
    "string": frozenset({"pattern", "format", "minLength", "maxLength"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
_OF_TYPE["integer"] = _OF_TYPE["number"]
_MOVED = frozenset().union(*_OF_TYPE.values())
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "number": (int, float), "integer": (int,),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_TYPE_LIST = re.compile(rb'"type"\s*:\s*\[')
_MAX_DEPTH = 100


def fitted_schema(raw: msgspec.Raw, dialect: Dialect, dropped: set[str]) -> Any:
    """Return the schema as ``dialect`` takes it; the same bytes if there is nothing to change.

    Keywords that are left out are reported as ``response_format.schema``. Raises ``ApiError`` 400 for what is no JSON.
    """
    absent, lists, text = dialect.schema_absent, dialect.schema_type_lists, bytes(raw)
    has_absent = any(f'"{name}"'.encode() in text for name in absent)
    if not (has_absent or dialect.schema_closed) and (lists or not _TYPE_LIST.search(text)):
        return raw
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError("invalid_request", "The schema of response_format must be JSON; send a JSON schema") from None
    is_stripped = _strip(found, absent, 0)
    has_lists = not lists and _split_types(found, 0)
    lost, closed = _close(found, 0) if dialect.schema_closed else (False, False)
    if is_stripped or lost:
        dropped.add("response_format.schema")
    return found if is_stripped or has_lists or closed else raw


def _strip(schema: Any, absent: Collection[str], depth: int) -> bool:
    """Remove keywords from ``schema``, in place; return whether it had any. Names of members are no keywords."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return False
    found = [name for name in absent if name in schema]
    for name in found:
        del schema[name]
    stripped = [_strip(value, absent, depth + 1) for value in _inner(schema)]
    return bool(found) or any(stripped)


def _close(schema: Any, depth: int) -> tuple[bool, bool]:
    """Forbid members that have no schema, in place.

    Return whether the schema asked for some, and whether it has changed.
    """
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return False, False
    inner = [_close(value, depth + 1) for value in _inner(schema)]
    others = schema.get("additionalProperties")
    is_open = others is not False and (schema.get("type") == "object" or "properties" in schema)
    if is_open:
        schema["additionalProperties"] = False
    lost = is_open and others is not None
    return lost or any(one[0] for one in inner), is_open or any(one[1] for one in inner)


def _split_types(schema: Any, depth: int) -> bool:
    """Write lists of types as ``anyOf``, in place, which allows the same values; return whether there were any."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return False
    split = [_split_types(value, depth + 1) for value in _inner(schema)]
    types = schema.get("type")
    if not isinstance(types, list):
        return any(split)
    named = [one for one in dict.fromkeys(types) if isinstance(one, str)]
    if len(named) == 1:
        schema["type"] = named[0]
        return True
    moved = {name: schema.pop(name) for name in list(schema) if name in _MOVED or name == "enum"}
    del schema["type"]
    branches = [branch for one in named if (branch := _branch(one, moved)) is not None]
    # Two alternatives hold together only within another object.
    if "anyOf" in schema:
        schema["allOf"] = [*schema.get("allOf", []), {"anyOf": schema.pop("anyOf")}]
    schema["anyOf"] = branches
    return True


def _branch(kind: str, moved: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema for values of one type, ``None`` where an enumeration has none of them."""
    keywords = {name: value for name, value in moved.items() if name in _OF_TYPE.get(kind, ())}
    values = moved.get("enum")
    if isinstance(values, list):
        fitting = [one for one in values if _is_of(one, kind)]
        if not fitting:
            return None
        keywords["enum"] = fitting
    return {"type": kind} | keywords


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, ()))


def _inner(schema: dict[str, Any]) -> list[Any]:
    inner: list[Any] = []
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, dict):
            inner += value.values()
        elif name in _LISTED and isinstance(value, list):
            inner += value
        elif name in _SINGLE:
            inner.append(value)
    return inner
