"""Bound the work of a validator for a client's schema, before it begins.

A schema is untrusted JSON: references can make its evaluation exponential in its own length, or in the depth of the
arguments. Therefore evaluations are counted level by level as an upper bound, which assumes that every keyword applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

# One evaluation is about 20 ns, one byte of text under one pattern at most 100 ns.
MAX_WIDTH = 2_000
MAX_LEVELS = 16

_SAME_VALUE_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_VALUE = ("not", "if", "then", "else")
_SAME_VALUE_MAPS = ("dependentSchemas", "dependencies")
_MEMBER = ("items", "additionalItems", "contains", "additionalProperties", "propertyNames",
          "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_MEMBER_LISTS = ("items", "prefixItems")
_MEMBER_MAPS = ("properties", "patternProperties")
# Keywords that choose the target of a reference during validation.
_DYNAMIC = frozenset({"$dynamicRef", "$recursiveRef"})


# Maps the identity of a schema to it, with the number of times that it applies at one place.
Level = dict[int, tuple[dict[str, Any], int]]


class UnboundedSchema(ValueError):
    """Report a schema whose work cannot be bounded."""


class SchemaCost(NamedTuple):
    """Bound the work of a schema.

    ``widths[l]`` bounds the evaluations at one place ``l`` levels deep in the arguments, ``patterns`` bounds those of
    regular expressions at any place. ``complete`` is false if deeper levels were not counted.
    """

    widths: tuple[int, ...]
    patterns: int
    complete: bool

    def work(self, nodes: int, depth: int, size: int) -> int | None:
        """Return the evaluations for arguments of ``nodes`` values, ``depth`` levels and ``size`` characters.

        It is ``None`` if no bound is known.
        """
        if not self.complete and depth >= len(self.widths):
            return None
        return max(self.widths[: depth + 1]) * nodes + self.patterns * size


class _SchemaObject(NamedTuple):
    """Hold the evaluations and patterns of one schema object, and the schemas that it applies to value and members."""

    weight: int
    patterns: int
    same_value: list[dict[str, Any]]
    members: list[dict[str, Any]]


def schema_cost(root: dict[str, Any]) -> SchemaCost:
    """Return the bound of the work of ``root``.

    Raises ``UnboundedSchema`` for a schema with references out of itself, or too wide at its root.
    """
    objects: dict[int, _SchemaObject] = {}
    level: Level = {id(root): (root, 1)}
    widths: list[int] = []
    patterns = 0
    while level and len(widths) < MAX_LEVELS:
        found = _count_level(root, level, objects)
        if found is None:
            break
        width, matched, level = found
        widths.append(width)
        patterns = max(patterns, matched)
    if not widths:
        raise UnboundedSchema("the root needs too many evaluations")
    return SchemaCost(tuple(widths), patterns, not level)


def _count_level(
    root: dict[str, Any], level: Level, objects: dict[int, _SchemaObject]
) -> tuple[int, int, Level] | None:
    """Return the evaluations and patterns at this level, and the level below; ``None`` if they are too many."""
    width = patterns = 0
    below: Level = {}
    pending = list(level.values())
    while pending:
        schema, times = pending.pop()
        found = objects.get(id(schema))
        if found is None:
            found = objects[id(schema)] = _schema_object(root, schema)
        width += times * found.weight
        if width > MAX_WIDTH:
            return None
        patterns += times * found.patterns
        pending += [(other, times) for other in found.same_value]
        for member in found.members:
            below[id(member)] = (member, below.get(id(member), (member, 0))[1] + times)
    return width, patterns, below


def _schema_object(root: dict[str, Any], schema: dict[str, Any]) -> _SchemaObject:
    if schema is not root and ("$id" in schema or "id" in schema):
        raise UnboundedSchema("the schema contains an $id below its root")
    patterns = ("pattern" in schema) + len(_mapping(schema, "patternProperties"))
    return _SchemaObject(
        _weight(schema), patterns, list(_same_value_schemas(root, schema)), list(_member_schemas(schema))
    )


def _weight(schema: dict[str, Any]) -> int:
    lists = [schema.get(name) for name in ("enum", "required")]
    return 1 + sum(len(names) for names in lists if isinstance(names, list))


def _same_value_schemas(root: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the schemas that apply to the same value."""
    if not _DYNAMIC.isdisjoint(schema):
        raise UnboundedSchema("the target of a reference is chosen during validation")
    if "$ref" in schema:
        yield from _schemas([_target(root, schema["$ref"])])
    for name in _SAME_VALUE_LISTS:
        yield from _schemas(schema.get(name))
    yield from _schemas([schema.get(name) for name in _SAME_VALUE])
    for name in _SAME_VALUE_MAPS:
        yield from _schemas(list(_mapping(schema, name).values()))


def _member_schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the schemas that apply to members of the value."""
    yield from _schemas([schema.get(name) for name in _MEMBER])
    for name in _MEMBER_LISTS:
        yield from _schemas(schema.get(name))
    for name in _MEMBER_MAPS:
        yield from _schemas(list(_mapping(schema, name).values()))


def _schemas(found: Any) -> Iterator[dict[str, Any]]:
    return (part for part in found if isinstance(part, dict)) if isinstance(found, list) else iter(())


def _mapping(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found = schema.get(name)
    return found if isinstance(found, dict) else {}


def _target(root: dict[str, Any], reference: Any) -> Any:
    """Return the target of a JSON pointer into this document. Raises ``UnboundedSchema`` for any other reference."""
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/") or "%" in reference:
        raise UnboundedSchema("a reference leads out of the schema")
    found: Any = root
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise UnboundedSchema("a reference has no target")
    return found
