"""Compile clients' tool schemas, each distinct one once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple, TypeVar

import jsonschema_rs
import msgspec

from router_service.tool_calls.schema_cost import SchemaCost, schema_cost

# Compiling takes about 25 µs for each object of a schema and up to 250 µs for each regular expression, and it holds the
# interpreter's lock: within these bounds one schema takes at most 5 ms, on the event loop.
MAX_SCHEMA_BYTES = 16 * 1024
MAX_SCHEMA_OBJECTS = 200
MAX_PATTERNS = 16
# Of the schemas that are compiled for one response.
MAX_COMPILED_BYTES = 32 * 1024
# Estimated memory of the compiled schemas together: ten times their length, and the limits of each expression.
CACHE_BYTES = 32 * 1024 * 1024
BYTES_PER_PATTERN = 256 * 1024
MAX_WORK = 250_000
# The engine without backtracking takes time linear in the text. An expression that it cannot run makes its schema
# unusable, like one that does not compile.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=256 * 1024, dfa_size_limit=256 * 1024)


class CompiledSchema(NamedTuple):
    """Hold a validator, the bound of its work, and the number of its regular expressions."""

    validator: jsonschema_rs.Validator
    cost: SchemaCost
    patterns: int = 0

    def accepts(self, arguments: dict[str, Any], size: int) -> bool:
        """Return whether ``arguments`` of ``size`` characters conform to the schema.

        It is also true if that cannot be decided within ``MAX_WORK`` evaluations.
        """
        # A value takes at least two characters, so this bounds the number of values.
        work = self.cost.work(size // 2 + 1, 0, size) if len(self.cost.widths) == 1 else None
        if work is None or work > MAX_WORK:
            nodes, depth = _measure(arguments)
            work = self.cost.work(nodes, depth, size)
        if work is None or work > MAX_WORK:
            return True
        try:
            return self.validator.is_valid(arguments)
        except BaseException as error:
            return _default_unless_exit(error, True)


class SchemaCache:
    """Keep compiled schemas, and evict the least recently used.

    A schema that cannot be used is kept as ``None``, so that it is compiled only once.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._schemas: OrderedDict[bytes, CompiledSchema | None] = OrderedDict()
        self._left = MAX_COMPILED_BYTES

    def begin_response(self) -> None:
        """Allow ``MAX_COMPILED_BYTES`` of schemas to be compiled for the next response."""
        self._left = MAX_COMPILED_BYTES

    def get(self, raw: bytes) -> CompiledSchema | None:
        """Return the schema of the JSON text ``raw``.

        It is ``None`` for a schema that is too large, invalid, whose work cannot be bounded, or for which too much
        would be compiled for one response.
        """
        if len(raw) > MAX_SCHEMA_BYTES:
            return None
        if raw in self._schemas:
            self._schemas.move_to_end(raw)
            return self._schemas[raw]
        if len(raw) > self._left:
            return None
        self._left -= len(raw)
        found = self._schemas[raw] = _compile(raw)
        self._bytes += _memory(raw, found)
        while self._bytes > self._max_bytes:
            self._bytes -= _memory(*self._schemas.popitem(last=False))
        return found


def _memory(raw: bytes, schema: CompiledSchema | None) -> int:
    return len(raw) if schema is None else 10 * len(raw) + schema.patterns * BYTES_PER_PATTERN


def _compile(raw: bytes) -> CompiledSchema | None:
    """Compile by draft 7, as the reference does, or by the draft that the schema itself names."""
    try:
        schema = msgspec.json.decode(raw, type=dict[str, Any])
        objects, patterns = _parts(schema)
        if objects > MAX_SCHEMA_OBJECTS or patterns > MAX_PATTERNS:
            return None
        cost = schema_cost(schema)
        make = jsonschema_rs.validator_for if "$schema" in schema else jsonschema_rs.Draft7Validator
        validator = make(schema, validate_formats=False, pattern_options=_PATTERNS, offline=True)
        return CompiledSchema(validator, cost, patterns)
    except BaseException as error:
        return _default_unless_exit(error, None)


def _parts(schema: dict[str, Any]) -> tuple[int, int]:
    """Return how many objects and how many regular expressions are in ``schema``."""
    objects = patterns = 0
    pending: list[Any] = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            objects += 1
            named = value.get("patternProperties")
            patterns += isinstance(value.get("pattern"), str) + (len(named) if isinstance(named, dict) else 0)
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return objects, patterns


T = TypeVar("T")


def _default_unless_exit(error: BaseException, default: T) -> T:
    """Return ``default``, but raise an ``error`` that ends the process.

    A client's schema can make the Rust library panic, and that is no ``Exception``.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    return default


def _measure(value: Any) -> tuple[int, int]:
    """Return the number of values in ``value``, itself included, and of the levels below it."""
    nodes, depth = 0, -1
    level: list[Any] = [value]
    while level:
        nodes += len(level)
        depth += 1
        level = [
            member
            for found in level
            if isinstance(found, (dict, list))
            for member in (found.values() if isinstance(found, dict) else found)
        ]
    return nodes, depth
