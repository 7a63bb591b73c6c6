"""Test that tool calls are collected, judged by the client's schemas and counted, and that no schema is expensive."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.tool_calls import MAX_ARGUMENT_BYTES, ToolCallCollector, ToolCallVerdict
from router_service.tool_calls.check import ToolCallChecker
from router_service.tool_calls.schema_cost import MAX_WIDTH, UnboundedSchema, schema_cost
from router_service.tool_calls.schemas import (
    MAX_PATTERNS,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_OBJECTS,
    MAX_WORK,
    SchemaCache,
)

PLACE = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["place"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {"node": {"properties": {"left": {"$ref": "#/$defs/node"}, "value": {"type": "integer"}}}},
    "$ref": "#/$defs/node",
}


def tools(schema: Any, name: str = "weather") -> msgspec.Raw:
    return msgspec.Raw(json.dumps([{"type": "function", "function": {"name": name, "parameters": schema}}]).encode())


def calls(*named: tuple[str, str]) -> ToolCallCollector:
    found = ToolCallCollector()
    rows = [{"id": str(n), "function": {"name": name, "arguments": text}} for n, (name, text) in enumerate(named)]
    found.add(0, {"tool_calls": rows}, complete=True)
    return found


def fault_of(schema: Any, arguments: Any, name: str = "weather") -> str | None:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCallChecker().check(tools(schema), calls((name, text))).fault


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"place": "Genoa", "days": 3}, None),
        ({"place": "Genoa", "days": 0}, "schema_mismatch"),
        ({"place": "Genoa", "when": "now"}, "schema_mismatch"),
        ({}, "schema_mismatch"),
        ("", "schema_mismatch"),
        ('{"place": "Genoa"', "invalid_json"),
        ('["Genoa"]', "invalid_json"),
        ('"Genoa"', "invalid_json"),
        ("{'place': 'Genoa'}", "invalid_json"),
        ('{"place": NaN}', "invalid_json"),
    ],
)
def test_arguments_are_judged(arguments: Any, fault: str | None) -> None:
    assert fault_of(PLACE, arguments) == fault


def test_the_first_malformed_call_determines_the_fault_and_all_are_counted() -> None:
    good, unknown, broken = ("weather", '{"place":"Genoa"}'), ("wether", "{}"), ("weather", "{")
    assert ToolCallChecker().check(tools(PLACE), calls(good, unknown, broken)) == ToolCallVerdict(3, "unknown_name")
    assert ToolCallChecker().check(tools(PLACE), calls(good, good)) == ToolCallVerdict(2, None)
    assert ToolCallChecker().check(tools(None), calls(("weather", ""))) == ToolCallVerdict(1, None)
    assert ToolCallChecker().check(tools(None), ToolCallCollector()) == ToolCallVerdict(0, None)


def test_arguments_that_are_not_text_are_invalid_json() -> None:
    found = ToolCallCollector()
    found.add(0, {"tool_calls": [{"function": {"name": "weather", "arguments": {"place": "Genoa"}}}]}, complete=True)
    assert ToolCallChecker().check(tools(PLACE), found) == ToolCallVerdict(1, "invalid_json")


def deltas(*rows: dict[str, Any]) -> ToolCallCollector:
    found = ToolCallCollector()
    for row in rows:
        found.add(0, msgspec.Raw(json.dumps({"content": None, "tool_calls": [row]}).encode()))
    return found


def test_deltas_of_a_stream_are_joined_by_index_or_else_by_id() -> None:
    """Let indices interleave; without indices a new id begins the next call."""
    first, second = '{"place":"Genoa"}', '{"place":"Lisbon"}'
    by_index = deltas(
        {"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}},
        {"index": 1, "id": "b", "function": {"name": "weather", "arguments": second[:5]}},
        {"index": 0, "function": {"arguments": first}},
        {"index": 1, "function": {"arguments": second[5:]}},
    )
    by_id = deltas(
        {"id": "a", "function": {"name": "weather", "arguments": first[:3]}},
        {"function": {"arguments": first[3:]}},
        {"id": "b", "function": {"name": "weather", "arguments": second}},
    )
    for found in (by_index, by_id):
        assert [(call.name, call.arguments) for call in found] == [("weather", first), ("weather", second)]
        assert ToolCallChecker().check(tools(PLACE), found) == ToolCallVerdict(2, None)


def test_calls_that_are_too_long_or_malformed_deltas_are_not_judged() -> None:
    row = {"index": 0, "function": {"name": "wether", "arguments": "x" * MAX_ARGUMENT_BYTES}}
    long = deltas(row, {"index": 0, "function": {"arguments": "x"}})
    odd = deltas({"index": "zero"})
    assert ToolCallChecker().check(tools(PLACE), long) == ToolCallVerdict(1, None)
    assert ToolCallChecker().check(tools(PLACE), odd) == ToolCallVerdict(0, None)
    assert ToolCallChecker().check(msgspec.Raw(b'[{"function": 3}]'), calls(("wether", "{"))) == ToolCallVerdict(
        1, None
    )


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def fanned(levels: int) -> dict[str, Any]:
    """Return a schema of a few hundred bytes that needs 2^levels evaluations."""
    names = {f"a{n}": {"allOf": [{"$ref": f"#/definitions/a{n + 1}"}] * 2} for n in range(levels)}
    return {"definitions": names | {f"a{levels}": False}, "$ref": "#/definitions/a0"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": 3},
        {"pattern": "("},
        {"properties": {"place": {"pattern": "(?=a)b"}}, "required": ["x"]},
        {"properties": {"place": {"pattern": "((a{0,100}){0,100}){0,100}"}}, "required": ["x"]},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}], "required": ["x"]},
        {"$dynamicRef": "#x", "required": ["x"]},
        {"properties": {"a": {"$id": "http://x/y", "$ref": "#/z"}}, "required": ["x"]},
        {"$schema": "https://example.org/no-draft", "required": ["x"]},
        fanned(40),
        nested(400),
        {"enum": list(range(MAX_WIDTH + 1))},
        {"required": ["x"], "description": "x" * 40_000},
        "text",
        [],
        3,
    ],
)
def test_a_schema_that_cannot_be_used_gives_no_fault(schema: Any) -> None:
    assert fault_of(schema, {"place": "Genoa"}) is None


def test_recursive_schemas_are_applied_as_deep_as_their_cost_is_known() -> None:
    assert fault_of(TREE, {"left": {"left": {"value": "x"}}}) == "schema_mismatch"
    assert fault_of(TREE, {"left": {"left": {"value": 1}}}) is None
    deep: dict[str, Any] = {"value": "x"}
    for _ in range(40):
        deep = {"left": deep}
    assert fault_of(TREE, deep) is None
    twice = {"additionalProperties": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, "maxProperties": 1}
    assert fault_of(twice, {"a": {"b": 1, "c": 1}}) == "schema_mismatch"
    assert fault_of(twice, deep) is None


def test_arguments_that_need_too_much_work_are_not_judged() -> None:
    items = {"items": {"enum": ["x"] * 500}}
    many = {"properties": {"a": items}}
    assert fault_of(many, {"a": [1, 2]}) == "schema_mismatch"
    assert fault_of(many, {"a": [1] * (MAX_WORK // 500)}) is None
    patterns = {"properties": {"a": {"allOf": [{"pattern": "(a|b|ab)*c"}] * MAX_PATTERNS}}}
    assert fault_of(patterns, {"a": "ab"}) == "schema_mismatch"
    assert fault_of(patterns, {"a": "ab" * 10_000}) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{number}": {"type": "string"} for number in range(MAX_SCHEMA_OBJECTS)}},
        {"properties": {f"p{number}": {"pattern": "^a$"} for number in range(MAX_PATTERNS + 1)}},
        {"patternProperties": {f"^{number}$": True for number in range(MAX_PATTERNS + 1)}},
        {"title": "x" * MAX_SCHEMA_BYTES, "required": ["a"]},
    ],
)
def test_a_schema_that_takes_long_to_compile_is_not_compiled(schema: dict[str, object]) -> None:
    """Compiling holds the interpreter's lock, so no other request would be served."""
    assert SchemaCache().get(json.dumps(schema).encode()) is None


def test_schemas_of_one_response_have_a_bound_together() -> None:
    """The next response may compile those that this one could not."""
    raws = [json.dumps({"title": f"{number}{'x' * (MAX_SCHEMA_BYTES // 2)}"}).encode() for number in range(8)]
    known = SchemaCache()
    first = [known.get(raw) for raw in raws]
    assert first[0] is not None and first[-1] is None
    known.begin_response()
    assert known.get(raws[-1]) is not None


def test_the_draft_is_the_one_that_the_schema_names() -> None:
    """Use ``prefixItems``, a keyword of 2020-12 that draft 7 does not have."""
    row = {"properties": {"a": {"prefixItems": [{"type": "integer"}]}}}
    assert fault_of(row, {"a": ["x"]}) is None
    assert (
        fault_of(row | {"$schema": "https://json-schema.org/draft/2020-12/schema"}, {"a": ["x"]}) == "schema_mismatch"
    )


def test_no_reference_is_fetched() -> None:
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/s.json"
        for schema in ({"$ref": address}, {"$id": address, "$ref": "t.json"}, {"$schema": address, "type": "string"}):
            assert fault_of(schema, {}) is None
        server.shutdown()
    assert requested == []


def test_schemas_are_compiled_once_and_the_least_recently_used_are_evicted() -> None:
    raws = [json.dumps({"title": str(n), "description": "x" * 100}).encode() for n in range(30)]
    known = SchemaCache(max_bytes=100 * len(raws[-1]))
    first = known.get(raws[0])
    for raw in raws[1:9]:
        known.get(raw)
        assert known.get(raws[0]) is first
    for raw in raws[9:]:
        known.get(raw)
    assert known.get(raws[0]) is not first


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
words = st.sampled_from(
    (
        "type",
        "properties",
        "items",
        "allOf",
        "anyOf",
        "not",
        "$ref",
        "enum",
        "required",
        "pattern",
        "additionalProperties",
        "$id",
    )
)
schemas = st.recursive(
    json_values | st.sampled_from(("#", "#/allOf/0", "object", "string")),
    lambda inner: st.dictionaries(words, inner | st.lists(inner, max_size=3), max_size=4),
    max_leaves=20,
)


@given(schemas, json_values | st.text())
def test_any_json_is_judged_without_an_error(schema: Any, arguments: Any) -> None:
    assert fault_of(schema, arguments) in (None, "invalid_json", "schema_mismatch")


@given(schemas.filter(lambda schema: isinstance(schema, dict)))
def test_a_cost_is_bounded_or_refused(schema: dict[str, Any]) -> None:
    try:
        cost = schema_cost(schema)
    except UnboundedSchema:
        return
    assert all(0 < width <= MAX_WIDTH for width in cost.widths)
