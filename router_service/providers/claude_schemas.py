"""Judge and complete JSON schemas for the vendor, which takes a subset of the language.

Source: Claude docs: Structured outputs, JSON Schema limitations.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.providers.tool_schemas import decode_schema, require_object

# Keywords that the vendor compiles or ignores; any other may be refused.
_KNOWN = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "allOf", "$ref"}
    | {"$defs", "definitions", "default", "format", "minItems", "title", "description", "$schema", "$id", "examples"}
)
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)  # fmt: skip
_COMBINATORS = ("anyOf", "oneOf", "allOf")
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")
# Deeper schemas are not judged, and are then not sent as native ones.
_MAX_DEPTH = 64


def object_schema(raw: msgspec.Raw | None, owner: str) -> dict[str, Any]:
    """Return the schema of an object. Raises ``ApiError`` 400 that names ``owner`` for any other schema."""
    if raw is None:
        return {"type": "object", "properties": {}}
    return require_object(decode_schema(raw, owner), owner)


def without_combinators(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``schema`` itself, or without ``anyOf``, ``oneOf`` and ``allOf``, which the vendor refuses at its top.

    The properties of all branches stay; required is what the schema requires in every branch.
    """
    if not any(name in schema for name in _COMBINATORS):
        return schema
    found = {name: value for name, value in schema.items() if name not in (*_COMBINATORS, "required")}
    properties: dict[str, Any] = {}
    required = _required(schema)
    for name in _COMBINATORS:
        listed = schema.get(name)
        branches = [branch for branch in listed if isinstance(branch, dict)] if isinstance(listed, list) else []
        for branch in branches:
            properties |= branch["properties"] if isinstance(branch.get("properties"), dict) else {}
        wanted = [_required(branch) for branch in branches] or [set()]
        required |= set.union(*wanted) if name == "allOf" else set.intersection(*wanted)
    own = schema.get("properties")
    found["properties"] = properties | (own if isinstance(own, dict) else {})
    return found | ({"required": sorted(required & found["properties"].keys())} if required else {})


def _required(schema: dict[str, Any]) -> set[str]:
    found = schema.get("required")
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def allows_strict(schema: dict[str, Any]) -> bool:
    """Return whether the vendor can enforce the schema of a strict tool."""
    return _is_known(schema, closed=False, depth=0)


def is_native(schema: dict[str, Any]) -> bool:
    """Return whether the vendor takes ``schema`` as the format of the answer: each object must be closed."""
    return _is_known(schema, closed=True, depth=0)


def _is_known(schema: Any, *, closed: bool, depth: int) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _KNOWN or depth > _MAX_DEPTH:
        return False
    if schema.get("type") == "object" and schema.get("additionalProperties", None if closed else False) is not False:
        return False
    if schema.get("format", "date") not in _FORMATS or schema.get("minItems", 0) not in (0, 1):
        return False
    reference = schema.get("$ref", "#/")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return False
    inner: list[Any] = [schema["items"]] if "items" in schema else []
    for name in ("anyOf", "allOf"):
        inner += schema.get(name) or []
    for name in _NAMED_SCHEMAS:
        named = schema.get(name) or {}
        inner += named.values() if isinstance(named, dict) else [named]
    return all(_is_known(found, closed=closed, depth=depth + 1) for found in inner) and not _is_recursive(schema)


def _is_recursive(schema: dict[str, Any]) -> bool:
    """Return whether a definition of ``schema`` leads to itself."""
    for group in ("$defs", "definitions"):
        named = schema.get(group)
        edges = {name: _references(found) for name, found in named.items()} if isinstance(named, dict) else {}
        for start in edges:
            seen: set[str] = set()
            waiting = list(edges[start])
            while waiting:
                name = waiting.pop().removeprefix(f"#/{group}/").partition("/")[0]
                if name == start:
                    return True
                if name in edges and name not in seen:
                    seen.add(name)
                    waiting += edges[name]
    return False


def _references(schema: Any) -> list[str]:
    found: list[str] = []
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found += [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
