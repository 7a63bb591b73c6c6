"""Validators of clients' tool schemas, compiled once for each distinct one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple, TypeVar

import jsonschema_rs
import msgspec

from router_service.tool_calls.schema_cost import SchemaCost, schema_cost

MOST_SCHEMA_BYTES = 32 * 1024
# Of raw schemas; compiled ones take about ten times as much.
CACHE_BYTES = 4 * 1024 * 1024
MOST_WORK = 250_000
# The engine without backtracking: its time is linear in the text. Expressions that only the other could run are not
# judged, as schemas that do not compile are not.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=256 * 1024, dfa_size_limit=256 * 1024)


class CompiledSchema(NamedTuple):
    """A compiled schema and what it costs."""

    validator: jsonschema_rs.Validator
    cost: SchemaCost

    def accepts(self, arguments: dict[str, Any], size: int) -> bool:
        """Whether ``arguments`` of ``size`` characters fit, or might: too much work is not begun."""
        # A value takes two characters at least.
        work = self.cost.work(size // 2 + 1, 0, size) if len(self.cost.widths) == 1 else None
        if work is None or work > MOST_WORK:
            nodes, depth = _measure(arguments)
            work = self.cost.work(nodes, depth, size)
        if work is None or work > MOST_WORK:
            return True
        try:
            return self.validator.is_valid(arguments)
        except BaseException as error:
            return _unjudged(error, True)


class SchemaCache:
    """The least recently used go first. ``None`` is kept for what cannot be judged, so that it is tried once."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[bytes, CompiledSchema | None] = OrderedDict()

    def get(self, raw: bytes) -> CompiledSchema | None:
        """The schema of the JSON text ``raw``; ``None`` where it is too long, broken, or its work not bounded."""
        if len(raw) > MOST_SCHEMA_BYTES:
            return None
        if raw in self._known:
            self._known.move_to_end(raw)
            return self._known[raw]
        found = self._known[raw] = _compile(raw)
        self._bytes += len(raw)
        while self._bytes > self._most_bytes:
            old, _ = self._known.popitem(last=False)
            self._bytes -= len(old)
        return found


def _compile(raw: bytes) -> CompiledSchema | None:
    """Draft 7 as the reference has it, or the draft that the schema itself names."""
    try:
        schema = msgspec.json.decode(raw, type=dict[str, Any])
        cost = schema_cost(schema)
        make = jsonschema_rs.validator_for if "$schema" in schema else jsonschema_rs.Draft7Validator
        return CompiledSchema(make(schema, validate_formats=False, pattern_options=_PATTERNS, offline=True), cost)
    except BaseException as error:
        return _unjudged(error, None)


T = TypeVar("T")


def _unjudged(error: BaseException, otherwise: T) -> T:
    """``otherwise``, whatever the client's schema did: a panic of the Rust library is no ``Exception``."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    return otherwise


def _measure(value: Any) -> tuple[int, int]:
    """Values in ``value``, itself among them, and levels below it."""
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
