"""Make values that fit a JSON schema, for the arguments of scripted tool calls."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 24
MAX_ITEMS = 100
MAX_CHARACTERS = 10_000
FORMATS = {
    "date": "2026-11-29",
    "date-time": "2026-11-29T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "pilot@harbour.example",
    "hostname": "harbour.example",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://harbour.example/chart",
    "uuid": "00000000-0000-4000-8000-000000000001",
}
# Patterns are not solved: one of these texts fits, or the schema is refused with a sentence.
GUESSES = (
    "Genoa", "genoa", "GENOA", "a", "A", "1", "12", "123", "1234", "12345", "a1", "A1", "ab", "AB", "ABC", "AB1234",
    "a-b", "a_b", "a.b", "a/b", "/a", "a@b.example", "#a1b2c3", "1.0", "1.0.0", "+15550100", "12:00", "",
    *FORMATS.values(),
)  # fmt: skip


class UnsupportedSchema(ValueError):
    """A schema for which the lab has no value; the text says why."""


def schema_value(schema: Any, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """Return a small value that is valid under ``schema``: required properties, least lengths, first choices.

    ``root`` is the schema that references start from. Raises ``UnsupportedSchema``.
    """
    if depth > MAX_DEPTH:
        raise UnsupportedSchema(f"it requires values more than {MAX_DEPTH} levels deep")
    if schema is True or schema == {}:
        return {} if depth == 0 else "Genoa"
    if not isinstance(schema, Mapping):
        raise UnsupportedSchema("no value is valid under the schema false")
    root = schema if root is None else root
    schema = _merged(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _first(schema["enum"])
    for name in ("anyOf", "oneOf"):
        if name in schema:
            rest = {key: value for key, value in schema.items() if key != name}
            return schema_value(_both(rest, _merged(_first(schema[name]), root)), root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = _first([name for name in kind if name != "null"] or kind)
    if kind is None:
        kind = "object" if "properties" in schema or depth == 0 else "array" if "items" in schema else "string"
    if kind == "object":
        properties = schema.get("properties", {})
        required = schema.get("required") or ()
        return {name: schema_value(properties.get(name, True), root, depth + 1) for name in required}
    if kind == "array":
        return _array(schema, root, depth)
    if kind in ("number", "integer"):
        return _number(schema, kind == "integer")
    if kind == "string":
        return _text(schema)
    return {"boolean": True, "null": None}[kind]


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``schema`` with its reference and the parts of ``allOf`` in place."""
    for _ in range(MAX_DEPTH):
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = _both(rest, _referred(str(schema["$ref"]), root))
        elif "allOf" in schema:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                rest = _both(rest, _merged(part, root))
            schema = rest
        else:
            return schema
    raise UnsupportedSchema("its references lead in a circle")


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema for what both describe; properties and required names add up."""
    joined = {**one, **other}
    if "properties" in one or "properties" in other:
        joined["properties"] = {**one.get("properties", {}), **other.get("properties", {})}
    if "required" in one or "required" in other:
        joined["required"] = list(dict.fromkeys([*(one.get("required") or ()), *(other.get("required") or ())]))
    return joined


def _referred(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    place: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if step and not (isinstance(place, Mapping) and step in place):
            raise UnsupportedSchema(f"its reference {reference[:100]} leads nowhere")
        place = place[step] if step else place
    if not isinstance(place, Mapping):
        raise UnsupportedSchema(f"its reference {reference[:100]} leads to no schema")
    return place


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[Any]:
    fixed = [schema_value(item, root, depth + 1) for item in schema.get("prefixItems", ())]
    least = schema.get("minItems", 0)
    if least > MAX_ITEMS:
        raise UnsupportedSchema(f"it requires more than {MAX_ITEMS} items")
    wanted = max(least, min(1, schema.get("maxItems", 1))) - len(fixed)
    items = schema.get("items", True)
    if wanted <= 0 or items is False:
        return fixed
    if not schema.get("uniqueItems"):
        return [*fixed, *(schema_value(items, root, depth + 1) for _ in range(wanted))]
    return [*fixed, *_distinct(items, root, depth, wanted)]


def _distinct(items: Any, root: Mapping[str, Any], depth: int, wanted: int) -> list[Any]:
    """Return different items: those of an enumeration, or numbers and texts that are counted up."""
    merged = _merged(items, root) if isinstance(items, Mapping) else {}
    if "enum" in merged:
        found = list({json.dumps(value, sort_keys=True): value for value in merged["enum"]}.values())[:wanted]
    else:
        first = schema_value(items, root, depth + 1)
        if isinstance(first, str) and "pattern" not in merged and "format" not in merged:
            found = [first, *(f"{first}{number}" for number in range(2, wanted + 1))]
        elif isinstance(first, int) and not isinstance(first, bool):
            found = [first + number * int(merged.get("multipleOf", 1)) for number in range(wanted)]
        else:
            found = [first]
    if len(found) < wanted:
        raise UnsupportedSchema(f"it requires {wanted} different items")
    return found


def _number(schema: Mapping[str, Any], whole: bool) -> float | int:
    low, high = schema.get("minimum"), schema.get("maximum")
    step = schema.get("multipleOf", 1 if whole else None)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None and (low is None or above >= low):
        low = above + (step or (abs(above) or 1) * 1e-3 if below is None else (below - above) / 2)
        if step:
            low = above + step if math.isclose(above % step, 0) else above
    if below is not None and (high is None or below <= high):
        high = below - step if step and math.isclose(below % step, 0) else below
    value: float = 7
    if (low is not None and low > 7) or (high is not None and high < 7):
        value = low if low is not None else high or 0
    if step:
        value = math.floor(value / step) * step
        if low is not None and value < low:
            value += step
    elif below is not None and value == below:
        value = (low + below) / 2 if low is not None else below - 1
    return int(value) if whole else value


def _text(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if least > MAX_CHARACTERS:
        raise UnsupportedSchema(f"it requires more than {MAX_CHARACTERS} characters")
    if "pattern" in schema:
        fitting = [text for text in GUESSES if least <= len(text) and (most is None or len(text) <= most)]
        try:
            found = next((text for text in fitting if re.search(schema["pattern"], text)), None)
        except re.error as error:
            raise UnsupportedSchema(f"its pattern is no regular expression: {error}") from None
        if found is not None:
            return found
        raise UnsupportedSchema(f"the lab knows no text for the pattern {schema['pattern'][:100]}")
    text = FORMATS.get(schema.get("format", ""), "Genoa")
    text = text if len(text) >= least else (text * (least // len(text) + 1))[:least]
    return text if most is None else text[:most]


def _first(choices: Any) -> Any:
    if not choices:
        raise UnsupportedSchema("it has an empty list of choices")
    return choices[0]
