"""Parsing of arbitrary bodies, and of answers that clients send back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router_service.api.skins.messages.answer_blocks import answer_block, is_redacted, tool_id
from router_service.api.skins.messages.count_tokens import estimate_input_tokens
from router_service.api.skins.messages.parse import parse_generation
from router_service.api.skins.messages.render import render_message
from router_service.core.errors import ApiError
from router_service.core.events import Event, fold
from router_service.core.generation import GenerationRequest
from router_service.core.origin import PREFIX
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.wire.anthropic import DIALECT
from tests.router_service.api.skins.messages.answer_strategies import (
    NATIVE_BLOCKS,
    NATIVE_CITATIONS,
    REASONING,
    VALUE,
    answers,
    tool_calls,
)

_KEYS = st.sampled_from(
    [
        "type",
        "text",
        "source",
        "content",
        "id",
        "name",
        "input",
        "thinking",
        "signature",
        "data",
        "tool_use_id",
        "cache_control",
        "citations",
        "role",
        "url",
        "media_type",
        "ttl",
        "is_error",
        "caller",
        "title",
        "format",
        "schema",
        "effort",
        "budget_tokens",
        "display",
        "input_schema",
        "user_id",
    ]
)
_WORDS = st.sampled_from(
    [
        "text",
        "image",
        "document",
        "search_result",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "server_tool_use",
        "base64",
        "url",
        "file",
        "ephemeral",
        "user",
        "assistant",
        "system",
        "auto",
        "any",
        "enabled",
        "json_schema",
        "custom",
        "web_search_20250305",
        "5m",
        "ptln1_kw",
        "high",
    ]
)
_JSON = st.recursive(
    VALUE | _WORDS | st.sampled_from([10**30, -1, *NATIVE_BLOCKS, *NATIVE_CITATIONS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=15,
)
_BLOCK_FIELDS = "text source content id name input thinking signature data tool_use_id cache_control citations"
_BLOCK = st.fixed_dictionaries({"type": _WORDS}, optional=dict.fromkeys(_BLOCK_FIELDS.split(), _JSON))
_TURN = st.fixed_dictionaries({"role": _WORDS, "content": st.lists(_BLOCK | _JSON, max_size=3) | _JSON})
_FIELDS = (
    "system tools tool_choice thinking output_config output_format metadata n temperature top_p top_k stop_sequences "
    "service_tier speed cache_control stream other"
)
_BODY = st.fixed_dictionaries(
    {"messages": st.lists(_TURN, max_size=3) | _JSON, "max_tokens": st.just(9) | _JSON},
    optional=dict.fromkeys(_FIELDS.split(), _JSON),
)


def raw_fields(body: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(_BODY)
@example({"messages": [{"role": "user", "content": "\ud83d"}], "max_tokens": 1})
def test_any_body_is_a_request_or_a_named_error(body: dict[str, Any]) -> None:
    try:
        request = parse_generation(raw_fields(body))
    except ApiError as error:
        assert error.code == 400
        assert error.message.partition(":")[0].partition(".")[0] in body
    else:
        msgspec.json.encode(request)
        assert estimate_input_tokens(request, "any/model") > 0


def sent_back(events: list[Event]) -> GenerationRequest:
    """Return the request that appends the answer, as SDKs do, and asks on."""
    answer = json.loads(render_message(fold(events), generation_id="gen-1-a", model="m"))
    turns = [{"role": "user", "content": "hello"}, {"role": answer["role"], "content": answer["content"]}]
    return parse_generation(raw_fields({"messages": turns, "max_tokens": 9}))


def expected(part: AnyPart) -> AnyPart | None:
    """Return the part as it must come back: only what no block can hold is lost."""
    match part:
        case Reasoning():
            if is_redacted(part) or part.text or part.signature is not None or part.item_id is not None:
                return part
            return None
        case ToolCall():
            # An id that carries nothing but itself stays readable, and needs no origin.
            return part if tool_id(part).startswith(PREFIX) else msgspec.structs.replace(part, origin=None)
        case Text():
            return part if part.text or part.citations else None
        case Refusal():
            return Text(text=part.text) if part.text else None
        case Opaque() if part.dialect != DIALECT:
            return Text(text=part.text) if part.text else None
        case _:
            return part


def comparable(part: AnyPart) -> Any:
    """Return ``part`` without what the dialect writes in another way: JSON spacing, and the text of its blocks."""
    found = msgspec.structs.asdict(part)
    if isinstance(part, ToolCall):
        try:
            arguments = json.loads(part.arguments or "{}")
        except ValueError:
            arguments = part.arguments
        found["arguments"] = arguments if isinstance(arguments, dict) else part.arguments
    if isinstance(part, Opaque):
        found = json.loads(bytes(part.raw))
    if isinstance(part, Text):
        found["citations"] = [(one.url, one.title or None, one.cited_text, bool(one.raw)) for one in part.citations]
    return found


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(answers())
def test_an_answer_sent_back_has_the_same_parts(events: list[Event]) -> None:
    parts = fold(events).choices[0].parts
    messages = sent_back(events).messages
    wanted = [comparable(part) for one in parts if (part := expected(one)) is not None]
    assert [message.role for message in messages] == ["user", "assistant"]
    assert [comparable(part) for part in messages[1].parts] == wanted


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(answers(REASONING | tool_calls()))
def test_signatures_ids_and_origins_come_back(events: list[Event]) -> None:
    wanted = [part for one in fold(events).choices[0].parts if (part := expected(one)) is not None]
    found = sent_back(events).messages[1].parts
    for sent, back in zip(wanted, found, strict=True):
        assert (back.signature, back.item_id, back.origin) == (sent.signature, sent.item_id, sent.origin)
        if isinstance(sent, Reasoning) and isinstance(back, Reasoning):
            assert back == sent
        if isinstance(sent, ToolCall) and isinstance(back, ToolCall):
            assert (back.call_id, back.kind) == (sent.call_id, sent.kind)


def test_a_result_finds_its_call_behind_a_token() -> None:
    call = ToolCall(call_id="functions.f:0", name="f", arguments="{}", signature="sig", origin="gemini/1")
    turns = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": tool_id(call), "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": tool_id(call), "content": "1"}]},
    ]
    messages = parse_generation(raw_fields({"messages": turns, "max_tokens": 9})).messages
    assert messages[1].parts == [call]
    assert messages[2].role == "tool" and messages[2].parts[0].call_id == "functions.f:0"  # type: ignore[union-attr]


def test_an_image_of_an_answer_comes_back_as_an_image() -> None:
    image = Media(kind="image", media_type="image/png", data="aGk=")
    block = answer_block(image)
    assert block == {"type": "text", "text": "![image](data:image/png;base64,aGk=)"}
    turns = [{"role": "user", "content": "draw"}, {"role": "assistant", "content": [block]}]
    assert parse_generation(raw_fields({"messages": turns, "max_tokens": 9})).messages[1].parts == [image]
