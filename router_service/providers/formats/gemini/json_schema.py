"""Reduce JSON schemas to what the vendor takes.

Source: the field ``response_json_schema`` of the ``google-genai`` package 3.6.1, which lists the keywords; Gemini API
docs: Structured output.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
_KEPT = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"}
    | {"minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required"}
    | {"propertyOrdering"}
)
# Keywords that describe a value and do not limit it: without them a schema means the same.
_NOTES = frozenset(
    {"$schema", "$comment", "default", "deprecated", "example", "examples", "readOnly", "writeOnly", "discriminator"}
    | {"nullable", "definitions", "title"}
)
_FORMATS = frozenset({"date-time", "date", "time", "duration", "int32", "int64", "float", "double", "enum"})
# Deeper schemas are cut off: what they describe there may be anything.
MAX_DEPTH = 64


def reduced_schema(schema: Schema) -> tuple[Schema, bool]:
    """Return ``schema`` with the keywords that the vendor takes, and whether one was lost that limits the values."""
    reducer = _Reducer()
    found = reducer.reduce(schema, 0)
    definitions = schema.get("definitions")
    if isinstance(definitions, dict) and isinstance(found, dict):
        moved = {name: reducer.reduce(one, 1) for name, one in definitions.items()}
        found["$defs"] = moved | found.get("$defs", {})
    return found if isinstance(found, dict) else {}, reducer.lost


class _Reducer:
    """Reduce one schema; ``lost`` becomes true with the first limit that is left out."""

    def __init__(self) -> None:
        self.lost = False

    def reduce(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            # The vendor has no schema ``false``, and ``true`` is one without any limit.
            self.lost = self.lost or schema is False
            return {}
        if depth > MAX_DEPTH:
            self.lost = True
            return {}
        schema = self._merged(schema)
        if "$ref" in schema:
            return self._reference(schema, depth)
        found: Schema = {}
        for name, value in schema.items():
            if name in _KEPT:
                self._keep(name, value, found, depth)
            elif name == "const":
                self._choose([value], found)
            else:
                self.lost = self.lost or name not in _NOTES
        if schema.get("nullable") is True and isinstance(found.get("type"), str):
            found["type"] = [found["type"], "null"]
        return found

    def _merged(self, schema: Schema) -> Schema:
        """Return ``schema`` with the parts of ``allOf`` in place; of two values for one keyword the first counts."""
        parts = schema.get("allOf")
        if not isinstance(parts, list):
            return schema
        found = {name: value for name, value in schema.items() if name != "allOf"}
        for part in parts:
            if not isinstance(part, dict):
                continue
            for name, value in part.items():
                known = found.get(name)
                if isinstance(known, dict) and isinstance(value, dict):
                    found[name] = value | known
                elif name == "required" and isinstance(known, list) and isinstance(value, list):
                    found[name] = [*known, *(one for one in value if one not in known)]
                elif name in found and known != value:
                    self.lost = True
                else:
                    found[name] = value
        return found

    def _reference(self, schema: Schema, depth: int) -> Schema:
        """Return a reference alone: nothing may stand beside it but keywords that begin with a dollar."""
        target = schema["$ref"]
        if isinstance(target, str):
            target = target.replace("#/definitions/", "#/$defs/", 1)
        found: Schema = {"$ref": target}
        if isinstance(schema.get("$defs"), dict):
            self._keep("$defs", schema["$defs"], found, depth)
        beside = set(schema) - _NOTES - {"$ref", "$defs", "description"}
        self.lost = self.lost or bool(beside)
        return found

    def _keep(self, name: str, value: Any, found: Schema, depth: int) -> None:
        if name in ("properties", "$defs") and isinstance(value, dict):
            found[name] = {key: self.reduce(one, depth + 1) for key, one in value.items()}
        elif name in ("anyOf", "oneOf", "prefixItems") and isinstance(value, list):
            found[name] = [self.reduce(one, depth + 1) for one in value]
        elif name == "items":
            found[name] = self.reduce(value, depth + 1)
        elif name == "additionalProperties":
            found[name] = value if isinstance(value, bool) else self.reduce(value, depth + 1)
        elif name == "enum" and isinstance(value, list):
            self._choose(value, found)
        elif name == "format" and value not in _FORMATS:
            self.lost = True
        else:
            found[name] = value

    def _choose(self, values: list[Any], found: Schema) -> None:
        """Add a choice, which the vendor has of strings and of numbers alone."""
        plain = [one for one in values if isinstance(one, str | int | float) and not isinstance(one, bool)]
        if len(plain) == len(values) and values:
            found["enum"] = plain
        elif None in values and plain and len(plain) == len(values) - 1:
            found["anyOf"] = [{"enum": plain}, {"type": "null"}]
        elif values and all(isinstance(one, bool) for one in values):
            found["type"] = "boolean"
            self.lost = self.lost or len(set(values)) < 2
        elif values == [None]:
            found["type"] = "null"
        else:
            self.lost = True
