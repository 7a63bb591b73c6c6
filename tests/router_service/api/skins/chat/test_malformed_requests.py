"""Tests what is said of malformed requests: every fault is a 400 with a sentence."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from router_service.api.skins.chat.parse import parse_generation
from router_service.api.skins.field_errors import decode_field
from router_service.core.errors import ApiError
from router_service.core.json_fields import read_fields
from router_service.core.json_structure import MAX_NESTING
from tests.router_service.api.skins.chat.requests import HELLO, parse


def refused(**fields: Any) -> str:
    with pytest.raises(ApiError) as raised:
        parse(**fields)
    assert raised.value.code == 400
    return raised.value.message


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": 3}, "messages is wrong: expected `array`, got `int`; send an array of messages"),
        ({"messages": []}, "messages has no message; send"),
        ({"messages": [HELLO, {"content": "x"}]}, "messages[1] has no role; send one of system"),
        ({"messages": [{"role": "bot"}]}, "messages[0].role is wrong: invalid value 'bot'; send one of system"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content is wrong: expected `str | array | null`"),
        ({"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages[0].content[0].type is wrong"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0] has no text; send a string",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages[0].content[0].file is empty",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]},
            "refusal belongs to assistant",
        ),
        ({"messages": [{"role": "system", "content": [{"type": "thinking", "thinking": "x"}]}]}, "thinking belongs to"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0] has no tool_call_id; send the id of the tool call",
        ),
        (
            {"messages": [{"role": "function", "content": "x"}]},
            "messages[0] has no name; send the name of the function",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]},
            "messages[0].tool_calls[0] has no function",
        ),
        (
            {"messages": [{"role": "assistant", "reasoning_details": [{}]}]},
            "messages[0].reasoning_details[0] has no type",
        ),
        (
            {"messages": [{"role": "assistant", "content": "", "annotations": [7]}]},
            "messages[0].annotations[0] is wrong",
        ),
        ({"messages": [{**HELLO, "cache_control": {"type": "x"}}]}, "messages[0].cache_control.type is wrong: invalid"),
        ({"tools": 3}, "tools is wrong: expected `array | null`, got `int`; send an object such as"),
        ({"tools": [{"type": "function"}]}, "tools[0] has no function; send an object with 'name' and 'parameters'"),
        ({"tools": [{"type": "custom"}]}, "tools[0] has no custom"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name is wrong"),
        ({"tools": [{"function": {"name": "f", "parameters": 3}}]}, "tools[0].function.parameters is wrong"),
        ({"functions": [{"parameters": {}}]}, "functions[0] has no name"),
        ({"tool_choice": "maybe"}, "tool_choice is wrong: invalid value 'maybe'; send 'auto'"),
        ({"tool_choice": {"type": "function"}}, "tool_choice names no function"),
        ({"function_call": "maybe"}, "function_call is wrong: invalid value 'maybe'"),
        ({"max_tokens": 18446744073709551616}, "max_tokens is wrong"),
        ({"max_tokens": 0}, "max_tokens is wrong: expected `int` >= 1; send a whole number of at least 1"),
        ({"n": 10**30}, "n is wrong"),
        ({"seed": 2**63}, "seed is wrong"),
        ({"temperature": 3}, "temperature is wrong: expected `float` <= 2.0; send a number from 0 to 2"),
        ({"temperature": "1"}, "temperature is wrong: expected `float | null`, got `str`; send a number from 0 to 2"),
        ({"logit_bias": {"1": 101}}, "logit_bias[...] is wrong"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort is wrong: invalid enum value 'huge'; send one of none"),
        (
            {"reasoning": {"effort": "high"}, "reasoning_effort": "low"},
            "reasoning_effort is 'low' while reasoning.effort",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type is wrong: invalid value 'xml'"),
        ({"response_format": {"type": "json_schema"}}, "response_format has no json_schema; send an object"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 1}}},
            "response_format.json_schema.schema is",
        ),
        ({"metadata": {"a": 1}}, "metadata[...] is wrong"),
    ],
)
def test_a_malformed_field_is_named_with_what_to_send(fields: dict[str, Any], says: str) -> None:
    assert says in refused(**fields)


def test_missing_messages_are_named() -> None:
    with pytest.raises(ApiError, match="messages is missing"):
        parse_generation({})


# Stands for 970 levels of arrays, which the JSON module cannot write.
DEEP = "deep"


@pytest.mark.parametrize(
    "fields",
    [
        {"x": DEEP},
        {"messages": [{**HELLO, "x": DEEP}]},
        {"messages": DEEP},
        {"tools": [{"function": {"name": "f", "parameters": {"x": DEEP}}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"x": DEEP}}}},
    ],
)
def test_deep_nesting_is_refused_wherever_it_is(fields: dict[str, Any]) -> None:
    """The limit is one number, whatever the depth of the stack that reads the body."""
    deep = b"[" * 970 + b"]" * 970
    raw = {
        name: json.dumps(value).encode().replace(b'"deep"', deep)
        for name, value in ({"messages": [HELLO]} | fields).items()
    }
    body = b",".join(b'"' + name.encode() + b'":' + value for name, value in raw.items())
    with pytest.raises(ApiError, match=f"nested more than {MAX_NESTING} levels deep"):
        read_fields(b"{" + body + b"}")


def test_a_reader_at_the_end_of_its_stack_refuses_as_well() -> None:
    """A value that is decoded deeper in the stack than it was checked is still refused with a sentence."""
    decoder = msgspec.json.Decoder(list[Any])
    with pytest.raises(ApiError, match="x is nested too deeply; send a flatter structure"):
        decode_field(b"[" * 100_000, decoder, "x")


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ApiError, match="messages is not valid JSON"):
        parse_generation({"messages": Raw(b'[{"role":"user","content":"\\ud800 "}]')})
    with pytest.raises(ApiError, match="The request body is not valid UTF-8 at byte 6"):
        read_fields(b'{"x":"\xff"}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "messages", "tools", "functions", "tool_choice", "function_call", "response_format", "reasoning",
    "reasoning_effort", "include_reasoning", "max_tokens", "max_completion_tokens", "temperature", "seed", "stop",
    "logit_bias", "n", "cache_control", "metadata", "modalities", "parallel_tool_calls", "service_tier", "stream",
    "user", "x",
]  # fmt: skip
KNOWN = st.sampled_from(
    ["role", "content", "type", "text", "image_url", "url", "file", "reasoning_details", "data", "index", "tool_calls",
     "function", "name", "arguments", "id", "annotations", "audio", "images", "cache_control", "signature", "format"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["user", "assistant", "tool", "system", "text", "image_url", "file", "reasoning.text", "function"]
)
SHAPED = st.recursive(
    JSON | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN, inner | WORDS, max_size=5),
    max_leaves=20,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": WORDS},
        optional=dict.fromkeys(
            ("content", "tool_calls", "reasoning_details", "annotations", "audio", "images"), SHAPED
        ),
    ),
    max_size=3,
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)


@FUZZ
@given(st.dictionaries(st.sampled_from(FIELDS), SHAPED, max_size=4), st.none() | MESSAGES)
def test_no_body_leads_to_another_error_than_400(fields: dict[str, Any], messages: Any) -> None:
    """Arbitrary JSON in any field is read or refused with a sentence."""
    if messages is not None:
        fields["messages"] = messages
    try:
        parse(**fields)
    except ApiError as error:
        assert error.code == 400 and len(error.message) > 10
