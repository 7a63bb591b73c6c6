"""How much work a client's schema can ask of a validator, before it is asked.

A schema is anybody's JSON: references can make its evaluation exponential in its own length, or in the depth of the
arguments. So evaluations are counted level by level, as an upper bound: every keyword is taken to apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

# One evaluation is about 20 ns, one byte of text under one pattern at most 100 ns.
MOST_WIDE = 2_000
MOST_LEVELS = 16

_HERE_LISTS = ("allOf", "anyOf", "oneOf")
_HERE = ("not", "if", "then", "else")
_HERE_MAPS = ("dependentSchemas", "dependencies")
_BELOW = ("items", "additionalItems", "contains", "additionalProperties", "propertyNames",
          "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_BELOW_LISTS = ("items", "prefixItems")
_BELOW_MAPS = ("properties", "patternProperties")
# What chooses the target of a reference while validating.
_MOVING = frozenset({"$dynamicRef", "$recursiveRef"})


# Schemas by identity, each with how often it applies at one place.
Level = dict[int, tuple[dict[str, Any], int]]


class Unbounded(ValueError):
    """The work cannot be bounded."""


class SchemaCost(NamedTuple):
    """``widths[l]`` bounds the evaluations at one place ``l`` levels deep in the arguments, ``patterns`` those of
    regular expressions at any place. ``whole`` is false where a deeper level would have more.
    """

    widths: tuple[int, ...]
    patterns: int
    whole: bool

    def work(self, nodes: int, depth: int, size: int) -> int | None:
        """Evaluations for arguments of ``nodes`` values, ``depth`` levels and ``size`` characters; ``None``: no
        bound is known.
        """
        if not self.whole and depth >= len(self.widths):
            return None
        return max(self.widths[: depth + 1]) * nodes + self.patterns * size


class _Part(NamedTuple):
    """What one schema object asks of a value: evaluations, patterns, further schemas for it and for its members."""

    weight: int
    patterns: int
    here: list[dict[str, Any]]
    below: list[dict[str, Any]]


def schema_cost(root: dict[str, Any]) -> SchemaCost:
    """Raises ``Unbounded`` for a schema with references out of itself, or too wide at its root."""
    parts: dict[int, _Part] = {}
    level: Level = {id(root): (root, 1)}
    widths: list[int] = []
    patterns = 0
    while level and len(widths) < MOST_LEVELS:
        found = _widen(root, level, parts)
        if found is None:
            break
        width, matched, level = found
        widths.append(width)
        patterns = max(patterns, matched)
    if not widths:
        raise Unbounded("too wide")
    return SchemaCost(tuple(widths), patterns, not level)


def _widen(root: dict[str, Any], level: Level, parts: dict[int, _Part]) -> tuple[int, int, Level] | None:
    """Evaluations and patterns at this level, and the level below; ``None`` when they are too many."""
    width = patterns = 0
    below: Level = {}
    waiting = list(level.values())
    while waiting:
        schema, times = waiting.pop()
        part = parts.get(id(schema))
        if part is None:
            part = parts[id(schema)] = _part(root, schema)
        width += times * part.weight
        if width > MOST_WIDE:
            return None
        patterns += times * part.patterns
        waiting += [(other, times) for other in part.here]
        for member in part.below:
            below[id(member)] = (member, below.get(id(member), (member, 0))[1] + times)
    return width, patterns, below


def _part(root: dict[str, Any], schema: dict[str, Any]) -> _Part:
    if schema is not root and ("$id" in schema or "id" in schema):
        raise Unbounded("an $id within")
    patterns = ("pattern" in schema) + len(_mapping(schema, "patternProperties"))
    return _Part(_weight(schema), patterns, list(_here(root, schema)), list(_below(schema)))


def _weight(schema: dict[str, Any]) -> int:
    lists = [schema.get(name) for name in ("enum", "required")]
    return 1 + sum(len(names) for names in lists if isinstance(names, list))


def _here(root: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Schemas that apply to the same value."""
    if not _MOVING.isdisjoint(schema):
        raise Unbounded("a reference that is found while validating")
    if "$ref" in schema:
        yield from _schemas([_target(root, schema["$ref"])])
    for name in _HERE_LISTS:
        yield from _schemas(schema.get(name))
    yield from _schemas([schema.get(name) for name in _HERE])
    for name in _HERE_MAPS:
        yield from _schemas(list(_mapping(schema, name).values()))


def _below(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Schemas that apply to members of the value."""
    yield from _schemas([schema.get(name) for name in _BELOW])
    for name in _BELOW_LISTS:
        yield from _schemas(schema.get(name))
    for name in _BELOW_MAPS:
        yield from _schemas(list(_mapping(schema, name).values()))


def _schemas(found: Any) -> Iterator[dict[str, Any]]:
    return (part for part in found if isinstance(part, dict)) if isinstance(found, list) else iter(())


def _mapping(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found = schema.get(name)
    return found if isinstance(found, dict) else {}


def _target(root: dict[str, Any], reference: Any) -> Any:
    """What a JSON pointer of this document points to; every other reference is refused."""
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/") or "%" in reference:
        raise Unbounded("a reference out of the schema")
    found: Any = root
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise Unbounded("a reference to nothing")
    return found
