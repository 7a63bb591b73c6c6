"""Read from a prompt the values that a model which does as it is told puts into calls and objects."""

from __future__ import annotations

import ast
import re
from typing import Any

from lab.schema_values import schema_value

QUOTED = re.compile(r"(?<!\w)'([^'\n]{1,200})'(?!\w)")
MAX_ARGUMENTS = 1000


def prompted_arguments(name: str, schema: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Return arguments that are valid under ``schema``, with the values that ``prompt`` names.

    ``name(3)`` in the prompt gives the required properties in their order; otherwise the texts in single quotes give
    those that are strings. If the schema describes no property and takes any, the arguments are ``prompted_object``.
    Raises ``UnsupportedSchema``.
    """
    if not schema.get("properties") and (schema.get("additionalProperties") is True or set(schema) <= {"type"}):
        return prompted_object(prompt)
    found: dict[str, Any] = schema_value(schema)
    written = _written_values(name, prompt)
    if written is not None:
        return found | dict(zip(found, written, strict=False))
    free = [key for key, value in found.items() if isinstance(value, str) and not _limited(schema, key)]
    return found | dict(zip(free, QUOTED.findall(prompt), strict=False))


def prompted_object(prompt: str) -> dict[str, str]:
    """Return an object with the keys that ``prompt`` has in single quotes."""
    return dict.fromkeys(QUOTED.findall(prompt), "Genoa") or {"place": "Genoa"}


def _written_values(name: str, prompt: str) -> list[Any] | None:
    """Return the values of a call ``name(…)`` in ``prompt``, or ``None`` if there is none that can be read."""
    match = re.search(rf"(?<!\w){re.escape(name)}\(([^()\n]{{0,{MAX_ARGUMENTS}}})\)", prompt)
    if match is None:
        return None
    try:
        return list(ast.literal_eval(f"[{match[1]}]"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _limited(schema: dict[str, Any], key: str) -> bool:
    """Return true if the property takes certain texts alone."""
    described = (schema.get("properties") or {}).get(key)
    return not isinstance(described, dict) or not set(described) <= {"type", "title", "description"}
