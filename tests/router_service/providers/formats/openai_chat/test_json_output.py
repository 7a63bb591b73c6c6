"""Test structured output where a provider has no schema: asked for in words, reduced, and healed in both modes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lab.shapes import RequestRefused
from lab.vendor_refusals import refuse_vendor
from router_service.core.events import Result
from router_service.core.generation import GenerationRequest, Message, OutputFormat
from router_service.core.parts import Text
from router_service.providers.formats.openai_chat.dialect import dialect_of
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.openai_chat.wire import (
    FORMAT,
    chunk,
    folded,
    message,
    reasoning_of,
    text_of,
)
from tests.router_service.providers.formats.parameter_cases import endpoint_for

CONTEXT = DecodeContext(generation_id="gen-1", json_text=True)
SCHEMA = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "pattern": "^x"},
        "list": {"type": "array", "items": {"type": "string", "format": "date"}, "minItems": 2},
        "either": {"anyOf": [{"type": "string", "pattern": "y"}, {"type": "null"}]},
    },
}


def streamed(*chunks: dict[str, Any], context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a stream."""
    decoder = FORMAT.decoder(context)
    events = []
    for data in (*map(msgspec.json.encode, chunks), b"[DONE]"):
        batch = decoder.feed(None, data)
        events += batch.events() if batch is not None else []
    return folded(events + decoder.end())


@pytest.mark.parametrize(("finish", "text"), [("stop", '{"a":"x"}'), ("length", '{"a":"x')])
def test_both_modes_give_the_same_text(finish: str, text: str) -> None:
    said = '<think>{Hm}</think>Here:\n{"a":"x'
    tagged = msgspec.structs.replace(CONTEXT, think_tags=True, lists_sources=True)
    whole = folded(FORMAT.decode(msgspec.json.encode(message({"role": "assistant", "content": said}, finish)), tagged))
    pieces = [chunk({"content": said[at : at + 3]}) for at in range(0, len(said), 3)]
    for result in (
        whole,
        streamed(*pieces, chunk({}, finish), context=tagged),
        streamed(
            *pieces, {"id": "c", "choices": [{"index": 0, "delta": None, "finish_reason": finish}]}, context=tagged
        ),
    ):
        assert (text_of(result), reasoning_of(result)) == (text, "{Hm}")


def test_what_is_no_text_is_left_to_the_decoder() -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = streamed(chunk({"tool_calls": [call]}), {"id": "c", "choices": [1]}, {"id": "c"}, chunk({}, "tool_calls"))
    assert result.choices[0].finished is not None and result.choices[0].finished.reason == "tool_calls"


def encoded(provider: str, output: OutputFormat) -> tuple[dict[str, Any], DecodeContext, tuple[str, ...]]:
    """Return the body for ``provider``, the context of its answer and what is reported as dropped."""
    request = GenerationRequest(messages=[Message(role="user", parts=[Text(text="hi")])], output=output)
    made = FORMAT.encode(request, endpoint_for("openai_chat", provider, "model"), "gen-1")
    return msgspec.json.decode(made.request.body), made.context, made.dropped


def test_a_format_is_asked_for_as_the_provider_can_be_asked() -> None:
    schema = OutputFormat(kind="json_schema", schema=msgspec.Raw(msgspec.json.encode(SCHEMA)))
    any_object = OutputFormat(kind="json_object")
    body, context, _ = encoded("deepseek", schema)
    assert body["response_format"] == {"type": "json_object"} and "pattern" in body["messages"][0]["content"]
    assert context.json_text
    body, context, _ = encoded("minimax", any_object)
    assert "response_format" not in body and "JSON object" in body["messages"][0]["content"] and context.json_text
    body, context, _ = encoded("perplexity", any_object)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"} and not context.json_text
    assert len(body["messages"]) == 1
    for provider in ("moonshotai", "zai", "deepseek"):
        body, context, _ = encoded(provider, any_object)
        assert body["response_format"] == {"type": "json_object"} and not context.json_text


def test_a_schema_is_reduced_and_that_is_reported() -> None:
    schema = OutputFormat(kind="json_schema", schema=msgspec.Raw(msgspec.json.encode(SCHEMA)))
    body, _, dropped = encoded("cerebras", schema)
    assert dropped == ("response_format.schema",)
    sent = body["response_format"]["json_schema"]["schema"]["properties"]
    # A member may be named as a keyword is.
    assert sent == {
        "pattern": {"type": "string"},
        "list": {"type": "array", "items": {"type": "string"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    body, _, dropped = encoded("openai", schema)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA and dropped == ()
    plain = OutputFormat(kind="json_schema", schema=msgspec.Raw(b'{"properties":{"pattern":{"type":"string"}}}'))
    assert encoded("cerebras", plain)[2] == ()
    assert encoded("xai", schema)[2] == () and dialect_of("xai").schema_absent == ("minContains", "maxContains")


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": ["string"]}, {"type": "string"}),
        (
            {"type": ["string", "null"], "description": "A name", "minLength": 1},
            {"description": "A name", "anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]},
        ),
        (
            {
                "type": ["object", "array"],
                "properties": {"a": {"type": ["integer", "null"]}},
                "items": {"type": "string"},
            },
            {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
                        "additionalProperties": False,
                    },
                    {"type": "array", "items": {"type": "string"}},
                ]
            },
        ),
        (
            {"type": ["string", "null", "boolean"], "enum": ["a", None]},
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null", "enum": [None]}]},
        ),
        (
            {"type": ["string", "null"], "anyOf": [{"const": "a"}, {"const": None}]},
            {"allOf": [{"anyOf": [{"const": "a"}, {"const": None}]}], "anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
    ],
)
def test_a_list_of_types_is_written_as_alternatives(schema: dict[str, Any], sent: dict[str, Any]) -> None:
    """Cerebras takes one type alone. The same values are valid, so that nothing is reported."""
    whole = {"type": "object", "properties": {"type": schema}}
    output = OutputFormat(kind="json_schema", schema=msgspec.Raw(msgspec.json.encode(whole)))
    body, _, dropped = encoded("cerebras", output)
    closed = {"type": "object", "properties": {"type": sent}, "additionalProperties": False}
    assert body["response_format"]["json_schema"]["schema"] == closed
    assert dropped == ()
    assert encoded("xai", output)[0]["response_format"]["json_schema"]["schema"] == whole


@pytest.mark.parametrize(
    ("schema", "sent", "lost"),
    [
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, False),
        ({"type": "object", "additionalProperties": True}, {"type": "object", "additionalProperties": False}, True),
        (
            {"type": "array", "items": {"properties": {"a": {"additionalProperties": {"type": "string"}}}}},
            {
                "type": "array",
                "items": {
                    "properties": {"a": {"additionalProperties": {"type": "string"}}},
                    "additionalProperties": False,
                },
            },
            False,
        ),
        ({"type": "string"}, {"type": "string"}, False),
    ],
)
def test_objects_are_closed_where_they_have_to_be(schema: dict[str, Any], sent: dict[str, Any], lost: bool) -> None:
    """Every object is closed; what is lost is reported where the schema had allowed other members by word."""
    output = OutputFormat(kind="json_schema", schema=msgspec.Raw(msgspec.json.encode(schema)))
    body, _, dropped = encoded("cerebras", output)
    assert body["response_format"]["json_schema"]["schema"] == sent
    assert dropped == (("response_format.schema",) if lost else ())
    assert encoded("openai", output)[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize("provider", ["cerebras", "groq", "xai"])
def test_the_vendors_of_the_lab_take_the_reduced_schemas(provider: str) -> None:
    """They refuse the schema as it was, and take what is sent in its place."""
    schema = {
        "type": "object",
        "properties": {
            "pattern": {"type": ["string", "null"], "pattern": "^x"},
            "list": {"type": "array", "minContains": 1, "contains": {"const": 1}, "maxItems": 300},
        },
    }
    output = OutputFormat(kind="json_schema", schema=msgspec.Raw(msgspec.json.encode(schema)))
    body = encoded(provider, output)[0]
    headers = {"authorization": "Bearer key"}
    refuse_vendor(provider, body, headers)
    plain = body | {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}
    with pytest.raises(RequestRefused, match=r"is not supported|is required"):
        refuse_vendor(provider, plain, headers)
