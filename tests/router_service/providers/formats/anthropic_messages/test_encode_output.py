"""Formats of the answer are asked for natively, by a tool that must be called, or in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.events import fold
from router_service.core.generation import GenerationRequest, Message, OutputFormat, ReasoningOptions, ToolChoice
from router_service.core.parts import Text, ToolCall
from router_service.providers.claude_schemas import is_native
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    FORMAT,
    ask,
    assistant,
    body_of,
    call,
    encode,
    endpoint,
    function,
    raw,
    read_message,
    read_stream,
    result,
    text,
    user,
)

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
OLD = endpoint("claude-sonnet-4-0")


def formatted(schema: Any = CLOSED, **fields: Any) -> GenerationRequest:
    """Return a request for an answer that follows ``schema``."""
    return ask(output=OutputFormat(kind="json_schema", name="answer", schema=raw(schema)), **fields)


def test_the_native_format() -> None:
    """A model that knows schemas gets the schema; other tools, choices and thinking stay as they are."""
    body = body_of(formatted(tools=[function()], reasoning=ReasoningOptions(effort="low")))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    assert body["thinking"]["type"] == "enabled"
    assert "tool_choice" not in body
    assert encode(formatted()).context.output_tool is None


def test_the_native_format_excludes_a_prefilled_turn() -> None:
    """The vendor refuses a schema with a prefilled turn, so the user asks to continue it."""
    schema = OutputFormat(kind="json_schema", schema=raw(CLOSED))
    assert body_of(ask(user("?"), assistant('{"a":'), output=schema))["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("at", [OLD, endpoint("MiniMax-M2", "minimax")])
def test_a_forced_tool_stands_for_the_format(at: Any) -> None:
    """Other models have to call a tool whose input is the answer."""
    body = body_of(formatted(), at)
    assert body["tools"][0]["name"] == "answer"
    assert body["tools"][0]["input_schema"] == CLOSED
    assert body["tool_choice"] == {"type": "tool", "name": "answer", "disable_parallel_tool_use": True}
    assert encode(formatted(), at).context.output_tool == "answer"


def test_a_schema_beyond_the_native_ones_is_asked_for_by_a_tool() -> None:
    """The vendor refuses some keywords and open objects natively."""
    body = body_of(formatted(OPEN))
    assert body["tools"][0]["input_schema"] == OPEN
    assert "output_config" not in body


def test_json_objects_are_asked_for_by_a_tool() -> None:
    """Any JSON object is the input of a tool without a schema of its own."""
    request = ask(output=OutputFormat(kind="json_object"))
    body = body_of(request)
    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {}, "additionalProperties": True}
    assert body["tool_choice"]["name"] == encode(request).context.output_tool == "write_answer"


def test_the_client_may_still_have_its_tools_called() -> None:
    """Beside the client's tools the model has to call one of them or the one for the answer."""
    body = body_of(formatted(OPEN, tools=[function(), function("answer")]))
    names = [tool["name"] for tool in body["tools"]]
    assert names[:2] == ["get_weather", "answer"]
    assert names[2] not in names[:2]
    assert body["tool_choice"] == {"type": "any"}
    none = body_of(formatted(OPEN, tools=[function()], tool_choice=ToolChoice(mode="none")))
    assert none["tool_choice"]["name"] == "answer"


def test_a_history_with_calls_and_a_format() -> None:
    """The tools of a history are declared, and the one for the answer must be called."""
    schema = OutputFormat(kind="json_schema", schema=raw(OPEN), description="A number")
    body = body_of(ask(user("?"), assistant(call()), result("call_1"), output=schema))
    assert [tool["name"] for tool in body["tools"]] == ["get_weather", "write_answer"]
    assert body["tools"][1]["description"].endswith("A number")
    assert body["tool_choice"]["name"] == "write_answer"


@pytest.mark.parametrize("choice", [ToolChoice(mode="required"), ToolChoice(mode="tool", name="get_weather")])
def test_a_call_that_the_client_forces_needs_no_format(choice: ToolChoice) -> None:
    """Send no format where the model has to call the client's tool: there is no text to format."""
    body = body_of(formatted(OPEN, tools=[function()], tool_choice=choice))
    assert [tool["name"] for tool in body["tools"]] == ["get_weather"]


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        (formatted(OPEN, reasoning=ReasoningOptions(effort="low")), "claude-sonnet-4-5"),
        (formatted(OPEN), "claude-opus-5-5"),
        (formatted({"type": "array", "items": {"minimum": 1}}), "claude-sonnet-4-5"),
        (formatted({"type": "object", "anyOf": [{"minimum": 1}]}), "claude-sonnet-4-0"),
    ],
)
def test_an_instruction_where_no_tool_can_be_forced(request_: GenerationRequest, model: str) -> None:
    """While it thinks, a model cannot be forced, and a tool takes objects alone: the schema is told in words."""
    body = body_of(request_, endpoint(model))
    assert "valid for this JSON schema" in body["system"][-1]["text"]
    assert '"minimum":1' in body["system"][-1]["text"]
    assert "tools" not in body
    assert "tool_choice" not in body


def test_the_instruction_follows_the_clients() -> None:
    """The client's instructions come first, and a JSON object needs no schema."""
    request = ask(
        instructions=[Message(role="system", parts=[Text(text="Be brief.")])],
        output=OutputFormat(kind="json_object"),
        reasoning=ReasoningOptions(effort="low"),
    )
    system = body_of(request)["system"]
    assert system[0] == text("Be brief.")
    assert system[1]["text"].startswith("Answer with one JSON object and nothing else")


@pytest.mark.parametrize("schema", ["text", 1, [], None])
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    """A schema that is not an object is the client's mistake."""
    with pytest.raises(ApiError, match="The schema of response_format must be a JSON object"):
        encode(formatted(schema))


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        found = {"type": "array", "items": found}
    return found


@pytest.mark.parametrize(
    ("schema", "native"),
    [
        (CLOSED, True),
        ({"anyOf": [CLOSED, {"type": "null"}]}, True),
        ({"type": "array", "items": CLOSED, "minItems": 1}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": CLOSED}}, True),
        ({"type": "string", "format": "date-time"}, True),
        (CLOSED | {"properties": {"a": OPEN}}, False),
        ({"type": "array", "minItems": 2}, False),
        ({"type": "string", "format": "regex"}, False),
        ({"$ref": "https://x.test/schema"}, False),
        ({"$ref": 1}, False),
        ({"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, False),
        (
            {
                "definitions": {
                    "a": {"$ref": "#/definitions/b"},
                    "b": {"$ref": "#/definitions/c"},
                    "c": {"type": "null"},
                }
            },
            True,
        ),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, False),
        ({"properties": [1]}, False),
        ({"oneOf": [CLOSED]}, False),
        ({"items": True}, False),
        (nested(60), True),
        (nested(70), False),
    ],
)
def test_which_schemas_are_native(schema: dict[str, Any], native: bool) -> None:
    """Only a schema whose keywords the vendor documents is sent natively."""
    assert is_native(schema) is native


def test_the_forced_tools_input_is_the_text() -> None:
    """The decoder turns the call of the tool back into text, and the reason into that of text."""
    context = encode(formatted(), OLD).context
    found = read_stream(
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "answer"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '"b"}'}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
        context=context,
    )
    message = {
        "type": "message",
        "id": "m",
        "content": [{"type": "tool_use", "id": "t", "name": "answer", "input": {"a": "b"}}],
        "stop_reason": "tool_use",
    }
    assert fold(FORMAT.decode(json.dumps(message).encode(), context)) == found
    assert found.choices[0].parts == [Text(text='{"a":"b"}', origin=context.origin)]
    assert found.choices[0].finished is not None
    assert (found.choices[0].finished.reason, found.choices[0].finished.native) == ("stop", "tool_use")


@pytest.mark.parametrize(
    "said", ['```json\n{"a":"b"}\n```', 'Here you are:\n{"a":"b"}', '{"a":"b",}\nAnything else?', '{"a":"b"}']
)
def test_text_in_place_of_the_forced_call_is_made_json(said: str) -> None:
    """A model may write the answer although it was made to call the tool."""
    context = encode(formatted(), OLD).context
    assert context.output_tool is not None
    content = [{"type": "text", "text": said}]
    whole = read_message(context, content=content)
    streamed = read_stream(
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}} for c in said),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
        context=context,
    )
    for found in (whole, streamed):
        assert "".join(part.text for part in found.choices[0].parts if isinstance(part, Text)) == '{"a":"b"}'


def test_a_call_beside_the_answer_stays_a_call() -> None:
    """With a call of a client's tool the reason is that of calls."""
    request = formatted(OPEN, tools=[function()])
    context = encode(request, OLD).context
    assert context.output_tool is not None
    content = [
        {"type": "tool_use", "id": "t", "name": context.output_tool, "input": {"a": 1}},
        {"type": "tool_use", "id": "u", "name": "get_weather", "input": {}},
    ]
    message = {"type": "message", "content": content, "stop_reason": "tool_use"}
    choice = fold(FORMAT.decode(json.dumps(message).encode(), context)).choices[0]
    assert [type(part) for part in choice.parts] == [Text, ToolCall]
    assert choice.finished is not None
    assert choice.finished.reason == "tool_calls"
