"""Tools and the choice among them are fitted to the vendor."""

from __future__ import annotations

import re
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.generation import ReasoningOptions, Tool, ToolChoice
from router_service.core.parts import CacheMark, ToolCall
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    ask,
    assistant,
    body_of,
    call,
    encode,
    endpoint,
    function,
    raw,
    result,
    user,
)

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}


def test_functions() -> None:
    """A function's schema is its input schema, which is that of an object."""
    tools = [
        function(description="Current weather", cache=CacheMark(ttl="1h")),
        Tool(name="now"),
        Tool(name="any", schema=raw({"properties": {"a": {}}})),
    ]
    assert body_of(ask(tools=tools))["tools"] == [
        {
            "name": "get_weather",
            "description": "Current weather",
            "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        {"name": "any", "input_schema": {"type": "object", "properties": {"a": {}}}},
    ]


@pytest.mark.parametrize("schema", [["list"], "text", True, {"type": "string"}, {"type": ["object", "null"]}])
def test_schemas_that_are_not_of_an_object_are_refused(schema: Any) -> None:
    """The vendor refuses other schemas, so the client is told."""
    with pytest.raises(ApiError, match="The schema of the tool 'odd' must be") as raised:
        encode(ask(tools=[Tool(name="odd", schema=raw(schema))]))
    assert raised.value.code == 400


@pytest.mark.parametrize(
    ("schema", "properties", "required"),
    [
        ({"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]}, ["a", "b"], None),
        (
            {
                "oneOf": [
                    {"properties": {"a": {}}, "required": ["a"]},
                    {"properties": {"b": {}}, "required": ["a", "b"]},
                ],
                "properties": {"c": {}},
                "required": ["c"],
            },
            ["a", "b", "c"],
            ["a", "c"],
        ),
        ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"required": ["z", 1]}]}, ["a"], ["a"]),
        ({"allOf": "odd", "anyOf": [True], "required": "odd"}, [], None),
    ],
)
def test_schemas_combined_at_their_top(schema: Any, properties: list[str], required: list[str] | None) -> None:
    """The vendor refuses combinators there, so the properties of the branches are merged, which is reported."""
    request = ask(tools=[Tool(name="t", schema=raw(schema))])
    sent = body_of(request)["tools"][0]["input_schema"]
    assert sorted(sent["properties"]) == properties
    assert sent["type"] == "object"
    assert sent.get("required") == required
    assert not {"anyOf", "oneOf", "allOf"} & set(sent)
    assert encode(request).dropped == ("tools",)


@pytest.mark.parametrize("name", ["files.read", "a b", "天気", "x" * 200, "mcp__server__" + "t" * 60])
def test_names_of_tools_are_fitted_everywhere(name: str) -> None:
    """A name that the vendor refuses is sent under another, in tools, choice and history; the decoder knows it."""
    request = ask(
        user("?"),
        assistant(call(name=name)),
        result("call_1"),
        tools=[function(name), function("files_read")],
        tool_choice=ToolChoice(mode="tool", name=name),
    )
    body, context = body_of(request), encode(request).context
    sent = body["tools"][0]["name"]
    assert re.fullmatch("[a-zA-Z0-9_-]{1,128}", sent)
    assert sent != "files_read"
    assert body["messages"][1]["content"][0]["name"] == sent
    assert body["tool_choice"]["name"] == sent
    assert context.tool_names.get(sent, sent) == name


def test_a_fitted_name_never_takes_a_clients_own() -> None:
    """Two tools whose names become one after fitting stay two."""
    body = body_of(ask(tools=[function("a.b"), function("a b"), function("a_b")]))
    names = [tool["name"] for tool in body["tools"]]
    assert len(set(names)) == 3
    assert names[2] == "a_b"


def test_two_tools_of_one_name() -> None:
    """The vendor refuses a second tool of a name, so the first is sent and the client told."""
    encoded = ask(tools=[function(), function(description="Again")])
    assert len(body_of(encoded)["tools"]) == 1
    assert encode(encoded).dropped == ("tools",)


def test_custom_tools_become_functions_of_one_text() -> None:
    """A custom tool is a function with the argument ``input``, in the history as well; the decoder is told."""
    patch = Tool(name="apply_patch", kind="custom", description="Patch files", dialect="openai_chat", raw=raw({}))
    past = ToolCall(call_id="c", name="apply_patch", arguments='*** "Begin"', kind="custom")
    request = ask(user("?"), assistant(past), result("c"), tools=[patch])
    body, context = body_of(request), encode(request).context
    assert body["tools"][0]["name"] == "apply_patch"
    assert body["tools"][0]["input_schema"]["required"] == ["input"]
    assert body["messages"][1]["content"][0]["input"] == {"input": '*** "Begin"'}
    assert context.custom_tools == {"apply_patch"}


def test_hosted_tools_of_this_dialect_pass() -> None:
    """A hosted tool is sent as its dialect writes it; a toolset has no name."""
    toolset = {"type": "mcp_toolset", "mcp_server_name": "s"}
    tools = [
        Tool(name="web_search", kind="hosted", dialect="anthropic_messages", raw=raw(SEARCH), cache=CacheMark()),
        Tool(name="s", kind="hosted", dialect="anthropic_messages", raw=raw(toolset)),
    ]
    assert body_of(ask(tools=tools))["tools"] == [SEARCH | {"cache_control": {"type": "ephemeral"}}, toolset]


def test_a_function_keeps_the_fields_of_this_dialect() -> None:
    """Fields that only this dialect has, as input examples, are sent with the function."""
    own = {"name": "get_weather", "input_schema": {}, "strict": True, "input_examples": [{"place": "Genoa"}]}
    tool = body_of(ask(tools=[function(dialect="anthropic_messages", raw=raw(own))]))["tools"][0]
    assert tool["input_examples"] == [{"place": "Genoa"}]
    assert tool["input_schema"]["required"] == ["place"]
    assert "strict" not in tool


@pytest.mark.parametrize("dialect", ["openai_responses", None])
def test_hosted_tools_of_other_providers_are_left_out(dialect: str | None) -> None:
    """Agents offer them on every request, so they are reported and not refused."""
    tool = Tool(name="file_search", kind="hosted", dialect=dialect, raw=raw({"type": "file_search"}))
    alone = ask(tools=[tool], tool_choice=ToolChoice(mode="auto"))
    assert encode(alone).dropped == ("tools",)
    assert body_of(alone).keys().isdisjoint({"tools", "tool_choice"})
    beside = ask(tools=[tool, function()])
    assert encode(beside).dropped == ("tools",)
    assert [sent["name"] for sent in body_of(beside)["tools"]] == ["get_weather"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (ToolChoice(), {"type": "auto"}),
        (ToolChoice(mode="none"), {"type": "none"}),
        (ToolChoice(mode="none", parallel=False), {"type": "none"}),
        (ToolChoice(mode="required"), {"type": "any"}),
        (ToolChoice(mode="tool", name="get_weather"), {"type": "tool", "name": "get_weather"}),
        (ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="required", parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(parallel=True), {"type": "auto"}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, sent: dict[str, Any] | None) -> None:
    """Each choice has the vendor's own, with parallel calls allowed or not."""
    request = ask(tools=[function()], tool_choice=choice)
    assert body_of(request).get("tool_choice") == sent
    assert encode(request).dropped == ()


def test_a_hosted_tool_can_be_chosen() -> None:
    """The choice may name a tool that the provider runs."""
    search = Tool(name="web_search", kind="hosted", dialect="anthropic_messages", raw=raw(SEARCH))
    body = body_of(ask(tools=[search], tool_choice=ToolChoice(mode="tool", name="web_search")))
    assert body["tool_choice"] == {"type": "tool", "name": "web_search"}


def test_choices_that_cannot_be_met_are_refused() -> None:
    """A choice without its tool is refused with a sentence; one that asks for nothing is left out."""
    with pytest.raises(ApiError, match="'now', which is none of the tools; add it"):
        encode(ask(tools=[function()], tool_choice=ToolChoice(mode="tool", name="now")))
    with pytest.raises(ApiError, match="no tools are offered; add tools"):
        encode(ask(tool_choice=ToolChoice(mode="required")))
    for mode in ("auto", "none"):
        assert "tool_choice" not in body_of(ask(tool_choice=ToolChoice(mode=mode)))  # type: ignore[arg-type]


def test_a_history_with_calls_has_their_tools() -> None:
    """The vendor refuses calls in a request without tools, so they are declared and not offered."""
    body = body_of(ask(user("?"), assistant(call(), call("b", name="now")), result("call_1"), result("b")))
    assert body["tools"] == [
        {"name": "get_weather", "input_schema": {"type": "object"}},
        {"name": "now", "input_schema": {"type": "object"}},
    ]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("choice", [ToolChoice(mode="required"), ToolChoice(mode="tool", name="get_weather")])
@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("claude-sonnet-4-5", ReasoningOptions(effort="low")),
        ("claude-opus-4-7", ReasoningOptions(enabled=True)),
        ("claude-opus-5-5", None),
        ("claude-fable-5-1", None),
        ("MiniMax-M2", ReasoningOptions(max_tokens=2000)),
    ],
)
def test_a_thinking_model_is_not_made_to_call(
    choice: ToolChoice, model: str, reasoning: ReasoningOptions | None
) -> None:
    """The vendor refuses a forced call while the model thinks: the choice becomes auto and is reported."""
    request = ask(tools=[function()], tool_choice=choice, reasoning=reasoning)
    assert body_of(request, endpoint(model))["tool_choice"] == {"type": "auto"}
    assert encode(request, endpoint(model)).dropped == ("tool_choice",)


def test_strict_tools() -> None:
    """A strict tool is strict where the model and the schema allow it; elsewhere that is reported."""
    closed = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    limited = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    for schema, model, strict in (
        (closed, "claude-sonnet-4-5", True),
        (closed, "claude-opus-4-1", False),
        (closed, "MiniMax-M2", False),
        (limited, "claude-sonnet-4-5", False),
    ):
        request = ask(tools=[Tool(name="t", schema=raw(schema), strict=True)])
        assert ("strict" in body_of(request, endpoint(model))["tools"][0]) is strict
        assert encode(request, endpoint(model)).dropped == (() if strict else ("strict",))
