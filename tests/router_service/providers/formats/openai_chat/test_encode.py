"""Checks the bodies that requests become, for plain providers and for those whose dialect differs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from data.catalogue.types import Price
from router_service.core.errors import ApiError
from router_service.core.generation import (
    GenerationRequest,
    Message,
    OutputFormat,
    ReasoningOptions,
    Sampling,
    Tool,
    ToolChoice,
)
from router_service.core.parts import CacheMark, Media, Text, ToolCall, ToolResult
from router_service.providers.formats.openai_chat.dialect import Dialect, dialect_of
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY
from router_service.providers.formats.openai_chat.turns import TurnEncoder
from tests.router_service.providers.formats.openai_chat.wire import FORMAT, endpoint

USER = Message(role="user", parts=[Text(text="hello")])
PLAIN = endpoint("a-plain-server", "llama")


def _raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def _request(*messages: Message, **more: Any) -> GenerationRequest:
    return GenerationRequest(messages=list(messages) or [USER], **more)


def _body(request: GenerationRequest, to: Any = PLAIN) -> dict[str, Any]:
    return json.loads(FORMAT.encode(request, to, "gen-1").request.body)


def _turns(*messages: Message, dialect: Dialect = Dialect(), dropped: set[str] | None = None) -> list[dict[str, Any]]:
    turns = TurnEncoder(dialect, "here", set() if dropped is None else dropped).encode(_request(*messages))
    return json.loads(msgspec.json.encode(turns))


def _assistant(*parts: Any) -> Message:
    return Message(role="assistant", parts=list(parts))


def test_a_request_has_an_address_a_type_and_no_credentials():
    encoded = FORMAT.encode(_request(), PLAIN, "gen-1")
    assert encoded.request.url == "http://provider.test/v1/chat/completions"
    assert encoded.request.headers == {"content-type": "application/json"}
    assert json.loads(encoded.request.body) == {"model": "llama", "messages": [{"role": "user", "content": "hello"}]}
    assert (encoded.context.generation_id, encoded.context.origin) == ("gen-1", "openai_chat/a-plain-server/llama")
    assert encoded.dropped == ()


def test_a_stream_asks_for_usage():
    assert _body(_request(stream=True)).items() >= {"stream": True, "stream_options": {"include_usage": True}}.items()


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_fields_of_the_router_and_of_the_body_are_never_overwritten_by_extras():
    extras = {"openai_chat": {**dict.fromkeys(ROUTER_ONLY, 1), "messages": [], "provider": 1}}
    assert _body(_request(extras=extras)) == _body(_request())


@pytest.mark.parametrize(
    ("given", "dropped"),
    [
        ({"cache": CacheMark()}, "cache_control"),
        ({"reasoning": ReasoningOptions(max_tokens=5)}, "reasoning.max_tokens"),
        ({"reasoning": ReasoningOptions(summary="auto")}, "reasoning.summary"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"tools": [Tool(name="f", cache=CacheMark())]}, "cache_control"),
        ({"tools": [Tool(name="search", kind="hosted", dialect="other", raw=_raw({}))]}, "tools"),
        ({"tool_choice": ToolChoice(mode="required")}, "tool_choice"),
        ({"messages": [Message(role="user", parts=[Text(text="a", cache=CacheMark())])]}, "cache_control"),
        ({"messages": [USER, _assistant(Text(text="a"), Media(kind="image", data="aa"))]}, "messages.images"),
    ],
)
def test_dropped_parameters_are_reported(given, dropped):
    encoded = FORMAT.encode(GenerationRequest(**{"messages": [USER], **given}), PLAIN, "gen-1")
    assert encoded.dropped == (dropped,)
    assert b"cache" not in encoded.request.body


def test_parameters_are_named_as_the_provider_names_them():
    request = _request(max_tokens=5, sampling=Sampling(seed=7))
    assert _body(request, endpoint("openai")).items() >= {"max_completion_tokens": 5, "seed": 7}.items()
    assert _body(request, endpoint("mistral")).items() >= {"max_tokens": 5, "random_seed": 7}.items()


@pytest.mark.parametrize(
    ("options", "plain", "reference"),
    [
        (ReasoningOptions(effort="low"), {"reasoning_effort": "low"}, {"effort": "low"}),
        (ReasoningOptions(enabled=False), {"reasoning_effort": "none"}, {"enabled": False}),
        (ReasoningOptions(enabled=True), {"reasoning_effort": "medium"}, {"enabled": True}),
        (ReasoningOptions(max_tokens=9), {"reasoning_effort": "medium"}, {"max_tokens": 9}),
        (ReasoningOptions(exclude=True), {}, None),
    ],
)
def test_reasoning_is_asked_for_in_the_form_of_the_dialect(options, plain, reference):
    body = _body(_request(reasoning=options))
    assert {name: value for name, value in body.items() if "reasoning" in name} == plain
    assert _body(_request(reasoning=options), endpoint("openrouter")).get("reasoning") == reference


def test_the_tier_of_the_endpoint_is_asked_for():
    tiers = (("default", Price(1, 1)), ("flex", Price(1, 1)))
    flex = endpoint("openai", service_tier="flex", tier_prices=tiers)
    default = endpoint("openai", tier_prices=tiers)
    assert _body(_request(), flex)["service_tier"] == "flex"
    assert _body(_request(service_tier="flex"), default)["service_tier"] == "default"
    assert _body(_request(service_tier="auto"), default)["service_tier"] == "auto"
    assert "service_tier" not in _body(_request(), default)


def test_response_formats():
    full = OutputFormat(kind="json_schema", name="n", description="d", schema=_raw(SCHEMA), strict=True)
    assert _body(_request(output=full))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "strict": True, "schema": SCHEMA},
    }
    bare = _body(_request(output=OutputFormat(kind="json_schema")))["response_format"]
    assert bare == {"type": "json_schema", "json_schema": {"name": "answer"}}


def test_tools_and_their_choice():
    tools = [
        Tool(name="f", description="d", schema=_raw(SCHEMA), strict=True),
        Tool(name="c", kind="custom", description="d"),
        Tool(name="r", kind="custom", dialect="openai_chat", raw=_raw({"type": "custom", "custom": {"name": "r"}})),
        Tool(name="h", kind="hosted", dialect="openai_chat", raw=_raw({"type": "web_search"})),
    ]
    body = _body(_request(tools=tools, tool_choice=ToolChoice(mode="tool", name="c", parallel=False)))
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
        {"type": "custom", "custom": {"name": "c", "description": "d"}},
        {"type": "custom", "custom": {"name": "r"}},
        {"type": "web_search"},
    ]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "c"}}
    assert body["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (ToolChoice(), "auto"),
        (ToolChoice(parallel=True), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="tool", name="f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choices(choice, sent):
    assert _body(_request(tools=[Tool(name="f")], tool_choice=choice)).get("tool_choice") == sent
    assert "tool_choice" not in _body(_request(tool_choice=choice))


def test_cache_marks_go_to_dialects_that_know_them():
    mark = CacheMark(ttl="1h")
    tool = Tool(name="t", dialect="openai_chat", raw=_raw({"type": "x"}), cache=CacheMark())
    request = _request(
        Message(role="user", parts=[Text(text="a", cache=mark)]), tools=[Tool(name="f", cache=mark), tool], cache=mark
    )
    body = _body(request, endpoint("openrouter"))
    sent = {"type": "ephemeral", "ttl": "1h"}
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": sent}]}]
    assert [tool["cache_control"] for tool in body["tools"]] == [sent, {"type": "ephemeral"}]
    assert body["cache_control"] == sent


@pytest.mark.parametrize(("model", "takes"), [("gpt-5.5", False), ("gpt-5.6-sol", True), ("gpt-6", True)])
def test_cache_marks_are_breakpoints_for_models_of_openai_that_take_them(model, takes):
    """A mark on a result belongs to its text; an answer has no marks in this API."""
    mark = CacheMark()
    told = ToolResult(call_id="c", content=[Text(text="ok")], cache=mark)
    request = _request(
        Message(role="system", parts=[Text(text="Be brief.", cache=mark)]),
        Message(role="user", parts=[Text(text="a", cache=mark)]),
        _assistant(ToolCall(call_id="c", name="f", arguments="{}")),
        Message(role="tool", parts=[told]),
    )
    encoded = FORMAT.encode(request, endpoint("openai", model), "gen-1")
    turns = [turn for turn in json.loads(encoded.request.body)["messages"] if turn["role"] != "assistant"]
    point = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    assert (
        all(isinstance(turn["content"], list) and turn["content"][-1].items() >= point.items() for turn in turns)
        is takes
    )
    assert encoded.dropped == (() if takes else ("cache_control",))
    answered = _request(USER, _assistant(Text(text="b", cache=mark)), USER)
    assert FORMAT.encode(answered, endpoint("openai", model), "gen-1").dropped == ("cache_control",)


@pytest.mark.parametrize(
    ("media", "sent"),
    [
        (
            Media(kind="image", url="https://a/b.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
        ),
        (
            Media(kind="image", media_type="image/webp", data="aa"),
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,aa"}},
        ),
        (Media(kind="image", file_id="f"), {"type": "file", "file": {"file_id": "f"}}),
        (
            Media(kind="audio", media_type="audio/mpeg", data="aa"),
            {"type": "input_audio", "input_audio": {"data": "aa", "format": "mp3"}},
        ),
        (Media(kind="audio", data="aa"), {"type": "input_audio", "input_audio": {"data": "aa", "format": "wav"}}),
        (Media(kind="video", url="https://a/b.mp4"), {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}}),
        (
            Media(kind="document", data="aa", name="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aa"}},
        ),
        (Media(kind="file", url="https://a/b.txt"), {"type": "file", "file": {"file_data": "https://a/b.txt"}}),
    ],
)
def test_media_of_users(media, sent):
    assert _turns(Message(role="user", parts=[media])) == [{"role": "user", "content": [sent]}]


def test_audio_by_address_is_refused_with_a_sentence():
    with pytest.raises(ApiError) as raised:
        _turns(Message(role="user", parts=[Media(kind="audio", url="https://a/b.wav")]))
    assert raised.value.code == 400 and "base64" in raised.value.message


@pytest.mark.parametrize(
    ("media", "name", "media_type"),
    [
        (Media(kind="document", data="aa", name="a.pdf"), "a.pdf", "application/pdf"),
        (Media(kind="document", media_type="application/pdf", data="aa"), "document.pdf", "application/pdf"),
        (Media(kind="document", data="aa"), "document.pdf", "application/pdf"),
        (Media(kind="file", media_type="text/plain", data="aa"), "document.txt", "text/plain"),
        (Media(kind="file", data="aa"), "document", "application/octet-stream"),
    ],
)
def test_openai_gets_each_file_inline_and_with_a_name(media, name, media_type):
    (turn,) = _turns(Message(role="user", parts=[media]), dialect=dialect_of("openai"))
    file = {"filename": name, "file_data": f"data:{media_type};base64,aa"}
    assert turn["content"] == [{"type": "file", "file": file}]


def test_the_address_of_a_file_is_refused_where_the_provider_takes_none():
    with pytest.raises(ApiError) as raised:
        _turns(Message(role="user", parts=[Media(kind="document", url="https://a/b.pdf")]), dialect=dialect_of("azure"))
    assert raised.value.code == 400 and "inline as base64" in raised.value.message
    known = Message(role="user", parts=[Media(kind="document", file_id="f", name="b.pdf")])
    (turn,) = _turns(known, dialect=dialect_of("openai"))
    assert turn["content"] == [{"type": "file", "file": {"file_id": "f", "filename": "b.pdf"}}]


def test_a_function_without_parameters_gets_a_schema_where_one_is_asked_for():
    request = _request(tools=[Tool(name="berths")])
    empty = {"type": "object", "properties": {}}
    for provider in ("mistral", "minimax"):
        assert _body(request, endpoint(provider, "m"))["tools"][0]["function"] == {
            "name": "berths",
            "parameters": empty,
        }
    assert _body(request)["tools"][0]["function"] == {"name": "berths"}
