"""Test that parameters, tools and formats become the fields that the vendor documents."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.generation import OutputFormat, ReasoningOptions, Sampling, Tool, ToolChoice
from router_service.core.parts import CacheMark
from router_service.providers.formats.openai_responses.dialect import responses_dialect_of, token_format_at
from tests.router_service.providers.formats.openai_responses.responses_world import (
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

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
CUSTOM = Tool(name="sail", kind="custom", description="Sail")
SEARCH = Tool(name="web_search", kind="hosted", dialect="openai_responses", raw=raw({"type": "web_search"}))


def own(**fields: Any) -> dict[str, dict[str, Any]]:
    """Return extras of this dialect, as JSON."""
    return {"openai_responses": {name: raw(value) for name, value in fields.items()}}


def test_functions_are_strict_only_where_the_client_says_so() -> None:
    tools = [
        function(strict=True, description="Hoist"), Tool(name="bare"), Tool(name="open", schema=raw({"a": 1})),
        function(cache=CacheMark()),
    ]  # fmt: skip
    encoded = encode(ask(tools=tools))
    empty = {"type": "object", "properties": {}}
    assert json.loads(encoded.request.body)["tools"] == [
        {"type": "function", "name": "hoist", "description": "Hoist", "parameters": empty, "strict": True},
        {"type": "function", "name": "bare", "parameters": empty, "strict": False},
        {"type": "function", "name": "open", "parameters": empty | {"a": 1}, "strict": False},
    ]
    assert encoded.dropped == ("cache_control", "tools")
    with pytest.raises(ApiError, match=r"schema of the tool 'hoist' must be a JSON object"):
        encode(ask(tools=[Tool(name="hoist", schema=msgspec.Raw(b"7"))]))


@pytest.mark.parametrize(
    ("format", "wanted"),
    [
        ({"type": "text"}, {"format": {"type": "text"}}),
        (
            {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
            {"format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
        ),
        (7, {}),
    ],
)
def test_custom_tools_of_the_chat_dialect(format: Any, wanted: dict[str, Any]) -> None:
    written = raw({"type": "custom", "custom": {"name": "sail", "format": format}})
    body = body_of(ask(tools=[Tool(name="sail", kind="custom", dialect="openai_chat", raw=written)]))
    assert body["tools"] == [{"type": "custom", "name": "sail", **wanted}]


def test_custom_tools_of_other_dialects_and_of_this_one() -> None:
    fields = {"type": "custom", "name": "sail", "format": {"type": "text"}}
    kept = Tool(name="sail", kind="custom", dialect="openai_responses", raw=raw(fields))
    assert body_of(ask(tools=[kept]))["tools"] == [fields]
    assert body_of(ask(tools=[CUSTOM]))["tools"] == [{"type": "custom", "name": "sail", "description": "Sail"}]
    odd = Tool(name="sail", kind="custom", dialect="openai_chat", raw=raw({"type": "custom"}))
    assert body_of(ask(tools=[odd]))["tools"] == [{"type": "custom", "name": "sail"}]


def test_custom_tools_stand_for_functions_where_there_are_none() -> None:
    encoded = encode(ask(tools=[CUSTOM]), endpoint("grok-4.3", "xai"))
    (tool,) = json.loads(encoded.request.body)["tools"]
    assert (tool["type"], tool["name"], tool["parameters"]["required"]) == ("function", "sail", ["input"])
    assert encoded.context.custom_tools == {"sail"}
    assert encode(ask(tools=[CUSTOM])).context.custom_tools == frozenset()


def test_hosted_tools_of_this_dialect_alone() -> None:
    """Those of other dialects are left out and reported."""
    assert body_of(ask(tools=[SEARCH]))["tools"] == [{"type": "web_search"}]
    for foreign in (
        Tool(name="bash", kind="hosted", dialect="anthropic_messages", raw=raw({})),
        Tool(name="x", kind="hosted"),
    ):
        assert encode(ask(tools=[foreign])).dropped == ("tools",)
        assert "tools" not in body_of(ask(tools=[foreign]))


def test_names_of_tools_are_fitted_everywhere() -> None:
    long = "depth." + "m" * 80
    tools = [function(long), function("a b"), function("a_b")]
    request = ask(
        user("Hi"), assistant(call(name=long)), result(), tools=tools, tool_choice=ToolChoice(mode="tool", name=long)
    )
    encoded = encode(request)
    body = json.loads(encoded.request.body)
    sent = [tool["name"] for tool in body["tools"]]
    assert body["tool_choice"] == {"type": "function", "name": sent[0]} and body["input"][1]["name"] == sent[0]
    assert len(sent[0]) == 64 and sent[2] == "a_b" and len(set(sent)) == 3
    assert encoded.context.tool_names == {sent[0]: long, sent[1]: "a b"}


CHOICES: list[tuple[ToolChoice | None, dict[str, Any]]] = [
    (None, {}),
    (ToolChoice(), {"tool_choice": "auto"}),
    (ToolChoice(mode="none"), {"tool_choice": "none"}),
    (ToolChoice(mode="required", parallel=False), {"tool_choice": "required", "parallel_tool_calls": False}),
    (ToolChoice(mode="tool", name="hoist"), {"tool_choice": {"type": "function", "name": "hoist"}}),
    (ToolChoice(mode="tool", name="sail"), {"tool_choice": {"type": "custom", "name": "sail"}}),
    (ToolChoice(mode="tool", name="web_search"), {"tool_choice": {"type": "web_search"}}),
]


@pytest.mark.parametrize(("choice", "wanted"), CHOICES, ids=str)
def test_choices(choice: ToolChoice | None, wanted: dict[str, Any]) -> None:
    body = body_of(ask(tools=[function(), CUSTOM, SEARCH], tool_choice=choice))
    assert {name: body[name] for name in ("tool_choice", "parallel_tool_calls") if name in body} == wanted


def test_choices_that_this_dialect_alone_has() -> None:
    tools = [function("a b"), CUSTOM]
    sent = body_of(ask(tools=tools))["tools"][0]["name"]
    listed = [{"type": "function", "name": "a b"}, {"type": "custom", "name": "sail"}, {"type": "mcp"}, 7]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": listed}
    found = body_of(ask(tools=tools, tool_choice=ToolChoice(mode="required"), extras=own(tool_choice=allowed)))
    assert found["tool_choice"]["tools"][0] == {"type": "function", "name": sent}
    assert found["tool_choice"]["tools"][1:] == listed[1:] and found["tool_choice"]["mode"] == "required"


def test_calls_that_cannot_be_made_are_refused() -> None:
    assert "tool_choice" not in body_of(ask(tool_choice=ToolChoice(parallel=False)))
    for choice in (ToolChoice(mode="required"), ToolChoice(mode="tool", name="x")):
        with pytest.raises(ApiError, match="no tools are offered"):
            encode(ask(tool_choice=choice))
    with pytest.raises(ApiError, match="tool_choice names 'x', which is none of the tools"):
        encode(ask(tools=[function()], tool_choice=ToolChoice(mode="tool", name="x")))


def test_formats_of_the_text() -> None:
    output = OutputFormat(kind="json_schema", name="a place", description="Where", schema=raw(SCHEMA), strict=True)
    form = body_of(ask(output=output))["text"]["format"]
    assert (form["type"], form["schema"], form["strict"]) == ("json_schema", SCHEMA, True)
    assert form["description"] == "Where" and form["name"].startswith("a_place_")
    bare = body_of(ask(output=OutputFormat(kind="json_schema", schema=raw(SCHEMA))))["text"]["format"]
    assert (bare["name"], bare["strict"]) == ("answer", False)
    assert body_of(ask(output=OutputFormat(kind="json_schema")))["text"]["format"] == {"type": "json_object"}
    assert "text" not in body_of(ask())
    assert body_of(ask(verbosity="max"))["text"] == {"verbosity": "high"}


REASONING: list[tuple[str, str, dict[str, Any], dict[str, Any] | None, tuple[str, ...]]] = [
    ("gpt-5.2-codex", "openai", {"effort": "xhigh"}, {"effort": "xhigh", "summary": "auto"}, ()),
    ("gpt-5.2-codex", "openai", {"effort": "minimal"}, {"effort": "low", "summary": "auto"}, ()),
    ("gpt-5.2-codex", "openai", {"enabled": True, "exclude": True}, {"effort": "medium"}, ()),
    ("gpt-5.2-codex", "openai", {"summary": "concise"}, {"summary": "concise"}, ()),
    ("gpt-5.2-codex", "openai", {"enabled": False}, {"effort": "low"}, ("reasoning.enabled",)),
    ("gpt-5.2-codex", "openai", {}, None, ()),
    ("gpt-5.1", "openai", {"effort": "none"}, {"effort": "none"}, ()),
    ("gpt-5-pro", "openai", {"effort": "low"}, {"effort": "high", "summary": "auto"}, ()),
    ("gpt-5.2-pro", "azure", {"effort": "low"}, {"effort": "medium", "summary": "auto"}, ()),
    ("o3-deep-research", "openai", {"effort": "max"}, {"effort": "medium", "summary": "auto"}, ()),
    ("gpt-5-codex", "openai", {"effort": "max"}, {"effort": "high", "summary": "auto"}, ()),
    ("gpt-4.1", "openai", {"effort": "low", "summary": "auto"}, None, ("reasoning", "reasoning.summary")),
    ("gpt-4.1", "openai", {"enabled": False}, None, ()),
    ("grok-4.20-0309-reasoning", "xai", {"effort": "low"}, None, ("reasoning",)),
    ("grok-4.20-0309-reasoning", "xai", {"effort": "none"}, None, ("reasoning.enabled",)),
    ("grok-4.3", "xai", {"effort": "low"}, {"effort": "low", "summary": "auto"}, ()),
    ("own-model", "mine", {"effort": "max"}, {"effort": "max", "summary": "auto"}, ()),
    ("own-model", "mine", {"max_tokens": 99}, {"effort": "medium", "summary": "auto"}, ("reasoning.max_tokens",)),
]


@pytest.mark.parametrize(("model", "provider", "options", "wanted", "dropped"), REASONING, ids=str)
def test_reasoning(
    model: str, provider: str, options: dict[str, Any], wanted: dict[str, Any] | None, dropped: tuple[str, ...]
) -> None:
    encoded = encode(ask(reasoning=ReasoningOptions(**options)), endpoint(model, provider))
    assert json.loads(encoded.request.body).get("reasoning") == wanted
    assert encoded.dropped == dropped


def test_limits() -> None:
    at = msgspec.structs.replace(endpoint(), max_completion_tokens=100)
    for asked, sent, dropped in ((50, 50, ()), (15, 16, ("max_tokens",)), (500, 100, ("max_tokens",))):
        encoded = encode(ask(max_tokens=asked), at)
        assert json.loads(encoded.request.body)["max_output_tokens"] == sent and encoded.dropped == dropped
    assert json.loads(encode(ask(max_tokens=500)).request.body)["max_output_tokens"] == 500


def test_sampling() -> None:
    asked = Sampling(temperature=0.5, top_p=0.9, logprobs=True, top_logprobs=12, n=1, frequency_penalty=0, top_k=0)
    body = body_of(ask(sampling=asked), endpoint("gpt-4.1"))
    assert (body["temperature"], body["top_p"], body["top_logprobs"]) == (0.5, 0.9, 12)
    assert body["include"] == ["message.output_text.logprobs"]
    usual = encode(ask(sampling=Sampling(temperature=1, top_p=1, top_logprobs=0)))
    assert usual.dropped == () and b"temperature" not in usual.request.body
    at_xai = encode(ask(sampling=asked), endpoint("grok-4.3", "xai"))
    assert json.loads(at_xai.request.body)["top_logprobs"] == 8 and at_xai.dropped == ("top_logprobs",)


def test_settings() -> None:
    body = body_of(ask(user="u" * 100, metadata={"a": "b"}, modalities=["text"]))
    assert len(body["user"]) == 64 and body["metadata"] == {"a": "b"}
    assert encode(ask(modalities=["text", "audio"])).dropped == ("modalities",)
    with pytest.raises(ApiError, match="add text to modalities"):
        encode(ask(modalities=["audio"]))
    assert encode(ask(metadata={"a": "b"}), endpoint("grok-4.3", "xai")).dropped == ("metadata",)
    assert encode(ask(verbosity="low"), endpoint("grok-4.3", "xai")).dropped == ("verbosity",)
    streamed = body_of(ask(stream=True))
    assert streamed["stream"] is True and streamed["stream_options"] == {"include_obfuscation": False}
    assert "stream_options" not in body_of(ask(stream=True), endpoint("own", "mine"))


def test_fields_of_this_dialect_are_kept_and_state_is_never_asked_for() -> None:
    extras = own(
        truncation="auto", include=["file_search_call.results", "reasoning.encrypted_content"], store=True,
        reasoning={"context": "all_turns", "effort": "max"}, previous_response_id="resp_1", background=True,
        max_output_tokens=7, text={"verbosity": "low"},
    )  # fmt: skip
    body = body_of(ask(extras=extras, max_tokens=99, reasoning=ReasoningOptions(effort="low")))
    assert body["truncation"] == "auto" and body["store"] is False and body["max_output_tokens"] == 99
    assert body["include"] == ["reasoning.encrypted_content", "file_search_call.results"]
    assert body["reasoning"] == {"context": "all_turns", "effort": "low", "summary": "auto"}
    assert body["text"] == {"verbosity": "low"}
    assert not {"previous_response_id", "background"} & body.keys()
    at_xai = encode(ask(extras=own(truncation="auto")), endpoint("grok-4.3", "xai"))
    assert at_xai.dropped == ("truncation",) and b"truncation" not in at_xai.request.body


def test_what_is_included_depends_on_the_model() -> None:
    """A model that does not reason refuses to be asked for its reasoning."""
    wanted = own(include=["reasoning.encrypted_content", "file_search_call.results"], reasoning={"context": "auto"})
    encoded = encode(ask(extras=wanted), endpoint("gpt-4.1"))
    body = json.loads(encoded.request.body)
    assert body["include"] == ["file_search_call.results"] and "reasoning" not in body
    assert encoded.dropped == ("reasoning",)
    for odd in ({"include": 7}, {"include": ["reasoning.encrypted_content"]}):
        assert "include" not in body_of(ask(extras=own(**odd)), endpoint("gpt-4.1"))


def test_fields_of_other_dialects_are_reported() -> None:
    extras = {"anthropic_messages": {"container": raw("c"), "thinking": raw({"type": "enabled"})}}
    assert encode(ask(extras=extras)).dropped == ("container",)


def test_rows_of_dialects() -> None:
    assert responses_dialect_of("nobody", "x").reasoning_format is None
    assert responses_dialect_of("azure", "gpt-5-pro").reasoning_format == "azure-openai-responses-v1"
    assert responses_dialect_of("azure", "gpt-5-pro").efforts == ("high",)
    assert not responses_dialect_of("xai", "grok-4.20-0309-non-reasoning").reasons
    assert token_format_at("openai_responses/xai") == "xai-responses-v1"
    assert token_format_at("openai_chat/xai") is None


def test_the_address_is_that_of_the_endpoint() -> None:
    encoded = encode(ask())
    assert encoded.request.url == "http://provider.test/v1/responses"
    assert encoded.context.origin == "openai_responses/openai" and encoded.context.generation_id == "gen-1"
    at = msgspec.structs.replace(endpoint("x", "vllm"), dialect="openai")
    assert b"include_obfuscation" in encode(ask(stream=True), at).request.body
