"""Test that the values that the lab makes are valid under the schemas that it was sent."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.schema_values import UnsupportedSchema, schema_value

LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["null", "string"]}),
    st.sampled_from(["date", "email", "uuid", "uri"]).map(lambda name: {"type": "string", "format": name}),
    st.lists(st.one_of(st.integers(), st.text(), st.none()), min_size=1).map(lambda values: {"enum": values}),
    st.integers().map(lambda value: {"const": value}),
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
        lambda pair: {"type": "string", "minLength": min(pair), "maxLength": max(pair)}
    ),
    st.tuples(st.integers(-99, 99), st.integers(0, 99), st.sampled_from(["integer", "number"])).map(
        lambda drawn: {"type": drawn[2], "minimum": drawn[0], "maximum": drawn[0] + drawn[1]}
    ),
    st.tuples(st.integers(-99, 99), st.integers(2, 99), st.sampled_from(["integer", "number"])).map(
        lambda drawn: {"type": drawn[2], "exclusiveMinimum": drawn[0], "exclusiveMaximum": drawn[0] + drawn[1]}
    ),
    st.integers(1, 50).map(lambda step: {"type": "integer", "multipleOf": step, "minimum": 8}),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects, arrays and unions of ``inner``."""
    names = st.dictionaries(st.sampled_from(["place", "depth", "wind", "a b", "$x"]), inner, max_size=3)
    objects = names.map(
        lambda found: {"type": "object", "properties": found, "required": sorted(found), "additionalProperties": False}
    )
    arrays = st.tuples(inner, st.integers(0, 3)).map(
        lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
    )
    return st.one_of(objects, arrays, st.lists(inner, min_size=1, max_size=2).map(lambda found: {"anyOf": found}))


@given(st.recursive(LEAVES, nested, max_leaves=8))
def test_a_value_is_valid_under_its_schema(schema: dict[str, Any]) -> None:
    whole = {"type": "object", "properties": {"it": schema}, "required": ["it"]}
    jsonschema_rs.validate(whole, schema_value(whole))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"properties": {"a": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{4}$"}}, "required": ["a"]},
        {"$ref": "#/definitions/a", "definitions": {"a": {"type": "object", "required": ["b"]}}},
        {
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": []}},
            "type": "object",
            "properties": {"root": {"$ref": "#/$defs/node"}},
            "required": ["root"],
        },
        {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "integer", "minimum": 9}}}], "type": "object"},
        {
            "type": "object",
            "properties": {"tags": {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "string"}}},
            "required": ["tags"],
        },
        {
            "type": "object",
            "properties": {
                "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}], "items": False}
            },
            "required": ["pair"],
        },
    ],
)
def test_references_patterns_and_merged_parts(schema: dict[str, Any]) -> None:
    jsonschema_rs.validate(schema, schema_value(schema))


def required(schema: Any, **more: Any) -> dict[str, Any]:
    """Return a schema that requires a value under ``schema``."""
    return {"type": "object", "properties": {"it": schema}, "required": ["it"]} | more


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (required({"$ref": "#/$defs/a"}, **{"$defs": {"a": {"$ref": "#/$defs/a"}}}), "in a circle"),
        (required({"$ref": "#/$defs/nowhere"}), "leads nowhere"),
        (
            required({"$ref": "#/$defs/a"}, **{"$defs": {"a": required({"$ref": "#/$defs/a"})}}),
            "more than 24 levels deep",
        ),
        (required({"type": "string", "minLength": 10**9}), "more than 10000 characters"),
        (required({"type": "array", "minItems": 10**9}), "more than 100 items"),
        (required({"type": "string", "pattern": "^unguessable$"}), "no text for the pattern"),
        (required({"type": "string", "pattern": "("}), "is no regular expression"),
        (required({"enum": []}), "an empty list of choices"),
        (required(False), "no value is valid"),
    ],
)
def test_a_schema_without_a_value_says_why(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(UnsupportedSchema, match=says):
        schema_value(schema)
