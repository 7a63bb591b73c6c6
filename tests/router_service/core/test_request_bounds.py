"""Test that every field of a request has a bound, and that no request of practice meets one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.api.parse_head import parse_head
from router_service.core.errors import ApiError
from router_service.core.json_fields import read_fields
from router_service.core.preferences import MAX_LIST_ENTRIES, parse_preferences
from router_service.core.request_bounds import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_ITEMS,
    MAX_NAME_CHARACTERS,
    MAX_SCHEMA_FIELD_BYTES,
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
)

TEXT = {"type": "text", "text": "a"}
TURN = {"role": "user", "content": "a"}
LONG = "x" * (MAX_FIELD_BYTES + 1)


def refusal(**fields: Any) -> str:
    """Return the sentence that refuses a body with ``fields``."""
    with pytest.raises(ApiError) as caught:
        read_fields(json.dumps(fields).encode())
    assert caught.value.code == 400
    return caught.value.message


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({f"f{number}": 1 for number in range(MAX_FIELDS + 1)}, f"more than {MAX_FIELDS} fields"),
        ({LONG: 1}, "a field whose name exceeds"),
        ({"stop": ["a"] * 50_000}, "stop must have at most"),
        ({"user": LONG}, "user must have at most"),
        ({"provider": {"only": [LONG]}}, "provider must have at most"),
        ({"a_field_of_tomorrow": LONG}, "a_field_of_tomorrow must have at most"),
        ({"tools": [{"name": "f"}] * (MAX_TOOLS + 3000)}, f"tools takes at most {MAX_TOOLS:,} entries"),
        ({"tools": [{"name": "x" * MAX_TOOLS_BYTES}]}, f"tools must have at most {MAX_TOOLS_BYTES:,} bytes"),
        ({"response_format": {"x": "x" * MAX_SCHEMA_FIELD_BYTES}}, "response_format must have at most"),
        ({"messages": [TURN] * (MAX_ITEMS + 1)}, f"messages takes at most {MAX_ITEMS:,} items"),
        ({"input": [TURN] * (MAX_ITEMS + 1)}, "input takes at most"),
        ({"system": [TEXT] * (MAX_ITEMS + 1)}, "system takes at most"),
        ({"messages": [{"role": "user", "content": [TEXT] * MAX_ITEMS}] * 2}, "messages takes at most"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [TEXT] * (MAX_ITEMS + 1)}]}]},
            "messages takes at most",
        ),
    ],
)
def test_a_field_beyond_its_bound_is_named(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**fields)


def test_large_content_is_no_large_list() -> None:
    """A long text, a document of many brackets and a long conversation pass."""
    turns = [{"role": "user", "content": [TEXT, TEXT]}] * (MAX_ITEMS // 4)
    for content in (
        "x" * 3_000_000,
        json.dumps([TURN] * 50_000),
        turns,
        [{"role": "user", "content": "{[" * 1_000_000}],
    ):
        assert "messages" in read_fields(json.dumps({"model": "a", "messages": content}).encode())


@pytest.mark.parametrize("name", ["order", "only", "ignore", "quantizations", "region"])
def test_lists_of_preferences_have_a_bound(name: str) -> None:
    """A list of more entries than there are providers would be compared with every endpoint."""
    for value in (["int4"] * (MAX_LIST_ENTRIES + 1), ["x" * (MAX_NAME_CHARACTERS + 1)]):
        with pytest.raises(ApiError, match=f"provider.{name}"):
            parse_preferences(json.dumps({name: value}).encode())
    parse_preferences(json.dumps({name: ["int4"] * MAX_LIST_ENTRIES}).encode())


def test_the_name_of_a_model_has_a_bound() -> None:
    long = "x" * (MAX_NAME_CHARACTERS + 1)
    for fields in ({"model": long}, {"model": "a", "models": [long]}):
        with pytest.raises(ApiError, match="at most 256 characters"):
            parse_head(json.dumps({"messages": [TURN], **fields}).encode())


MANY = [f"a{number}" for number in range(500_000)]
MAP = dict.fromkeys(MANY[:150000], 1)
TALK = [{"role": "user", "content": 'say "[{" \\ ' * 20_000}]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"provider": {"only": MANY}}, "provider.only"),
        ({"messages": TALK, "provider": {"order": ["a"], "ignore": MANY}}, "provider.ignore"),
        ({"messages": TALK, "models": MANY}, "models"),
        ({"provider": {"sort": {"by": MANY}}}, "provider.sort.by"),
        ({"provider": {"max_price": MAP}}, "provider.max_price"),
        ({"model": "a", "metadata": MAP, "stop": ["a"]}, "metadata"),
        ({"messages": [{"role": "user", "content": [TEXT] * 60_000}], "stop": ["a"]}, "messages"),
        ({"model": "a", "metadata": {"a": json.loads("[" * 300 + "]" * 300)}}, "metadata.a"),
    ],
)
def test_what_a_body_has_too_many_of_is_in_a_field(fields: dict[str, Any], path: str) -> None:
    assert refusal(**fields).endswith(f" in {path}")


def test_another_field_is_not_blamed() -> None:
    """Name no field where it is not cheap to tell which has too much."""
    assert refusal(messages=TALK, provider={"only": MAP}).endswith("; send fewer")


@pytest.mark.parametrize("field", ["order", "only", "ignore", "quantizations", "region", "sort", "data_collection"])
def test_a_long_field_within_another_is_named(field: str) -> None:
    for value in (LONG, [LONG], ["a"] * MAX_FIELD_BYTES):
        assert refusal(provider={"zdr": True, field: value}).endswith(f"send less in provider.{field}")
