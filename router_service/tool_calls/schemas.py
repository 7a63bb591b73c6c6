"""Compile clients' tool schemas, each distinct one once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple, TypeVar

import jsonschema_rs
import msgspec

from router_service.tool_calls.schema_cost import SchemaCost, schema_cost

MAX_SCHEMA_BYTES = 32 * 1024
# Length of the raw schemas together; compiled ones take about ten times as much.
CACHE_BYTES = 4 * 1024 * 1024
MAX_WORK = 250_000
# The engine without backtracking takes time linear in the text. An expression that it cannot run makes its schema
# unusable, like one that does not compile.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=256 * 1024, dfa_size_limit=256 * 1024)


class CompiledSchema(NamedTuple):
    """Hold a validator and the bound of its work."""

    validator: jsonschema_rs.Validator
    cost: SchemaCost

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

    def get(self, raw: bytes) -> CompiledSchema | None:
        """Return the schema of the JSON text ``raw``.

        It is ``None`` for a schema that is too long, invalid, or whose work cannot be bounded.
        """
        if len(raw) > MAX_SCHEMA_BYTES:
            return None
        if raw in self._schemas:
            self._schemas.move_to_end(raw)
            return self._schemas[raw]
        found = self._schemas[raw] = _compile(raw)
        self._bytes += len(raw)
        while self._bytes > self._max_bytes:
            old, _ = self._schemas.popitem(last=False)
            self._bytes -= len(old)
        return found


def _compile(raw: bytes) -> CompiledSchema | None:
    """Compile by draft 7, as the reference does, or by the draft that the schema itself names."""
    try:
        schema = msgspec.json.decode(raw, type=dict[str, Any])
        cost = schema_cost(schema)
        make = jsonschema_rs.validator_for if "$schema" in schema else jsonschema_rs.Draft7Validator
        return CompiledSchema(make(schema, validate_formats=False, pattern_options=_PATTERNS, offline=True), cost)
    except BaseException as error:
        return _default_unless_exit(error, None)


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
