"""Malformed requests get an error that names the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from data.catalogue import load_catalogue
from router_service.api.skins.messages.endpoint import MessagesEndpoint
from router_service.api.skins.messages.parse import parse_generation
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest
from tests.exchanges import exchange_of
from tests.router_service.api.skins.messages.parsing import USER, raw, refused


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([{"role": "user", "content": [{"type": "text"}]}], "messages.0.content.0.text: the field is required"),
        (
            [*USER, {"role": "user", "content": [{"type": "text", "text": 5}]}],
            "messages.1.content.0.text: expected `str`",
        ),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages.0.content.0.type: the field is required"),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "ftp"}}]}],
            "messages.0.content.0.source.type: ",
        ),
        (
            [{"role": "user", "content": [{"type": "document", "source": {"type": "ftp"}}]}],
            "messages.0.content.0.source.type: ",
        ),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "a"}}]}],
            "messages.0.content.0.source.media_type: ",
        ),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}],
            "messages.0.content.0.source.url: ",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"}}]}],
            "messages.0.content.0.cache_control.type: invalid enum value",
        ),
        ([{"role": "tool", "content": "x"}], "messages.0.role: "),
        ([{"role": "user"}], "messages.0.content: the field is required"),
        ([{"role": "user", "content": 5}], "messages.0.content: "),
        (
            [{"role": "user", "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}]}],
            "messages.0.content.0.type: tool_use and thinking blocks belong to turns of the assistant",
        ),
        (
            [{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}]}],
            "messages.0.content.0.type: tool_result blocks belong to turns of the user",
        ),
        ([], "messages: "),
        ("hello", "messages: "),
        (
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "{}"}]}],
            "messages.0.content.0.input: expected `object`",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t",
                            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
                        }
                    ],
                }
            ],
            "messages.0.content.0.content.0.type: ",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a", "citations": [5]}]}],
            "messages.0.content.0.citations.0: ",
        ),
    ],
)
def test_a_malformed_turn_is_named(messages: Any, field: str) -> None:
    assert refused(messages).startswith(field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_tokens": -1}, "max_tokens: "),
        ({"max_tokens": None}, "max_tokens: "),
        ({"max_tokens": 18446744073709551616}, "max_tokens: "),
        ({"temperature": 3}, "temperature: "),
        ({"top_p": "x"}, "top_p: "),
        ({"stop_sequences": [1]}, "stop_sequences.0: "),
        ({"n": 2}, "n: this API returns one choice"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema: the field is required"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools.0.input_schema: "),
        ({"tools": {}}, "tools: "),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name: "),
        ({"tool_choice": {"type": "sometimes"}}, "tool_choice.type: "),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: "),
        ({"thinking": {"type": "hard"}}, "thinking.type: "),
        ({"output_config": {"effort": "extreme"}}, "output_config.effort: "),
        ({"output_config": {"format": {"type": "json_schema", "schema": []}}}, "output_config.format.schema: "),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema: the field is required"),
        ({"system": 5}, "system: "),
        ({"system": [{"type": "image", "source": {"type": "url", "url": "u"}}]}, "system.0.type: "),
        ({"system": [{"type": "text", "text": None}]}, "system.0.text: "),
        ({"metadata": {"user_id": 5}}, "metadata.user_id: "),
        ({"stream": "yes"}, "stream: "),
        ({"speed": "warp"}, "speed: "),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, Any], field: str) -> None:
    assert refused(**fields).startswith(field)


def test_a_body_without_messages_is_refused() -> None:
    with pytest.raises(ApiError, match="messages: the field is required"):
        parse_generation({"max_tokens": msgspec.Raw(b"1")})


DEEP = b"[" * 970 + b"]" * 970
DEEPER = b"[" * 100_000 + b"]" * 100_000
HUGE = b"9" * 5_000


@pytest.mark.parametrize("value", [DEEP, DEEPER, HUGE, b"\xff", b'"\xff"', b'"\\ud83d"', b"1e999", b"{"])
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("messages", b"%s"),
        ("messages", b'[{"role":"user","content":%s}]'),
        ("messages", b'[{"role":"user","content":[{"type":"new","x":%s}]}]'),
        ("messages", b'[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"x":%s}}]}]'),
        (
            "messages",
            b'[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"u"},"citations":%s}]}]',
        ),
        ("max_tokens", b"%s"),
        ("system", b"%s"),
        ("tools", b'[{"name":"f","input_schema":{"x":%s}}]'),
        ("tools", b'[{"type":"web_search_20250305","x":%s}]'),
        ("thinking", b"%s"),
        ("container", b"%s"),
        ("output_config", b'{"task_budget":%s}'),
    ],
)
def test_deep_huge_and_broken_values_never_raise_anything_else(name: str, template: bytes, value: bytes) -> None:
    fields = {"messages": raw(USER), "max_tokens": raw(8), name: msgspec.Raw(template % value)}
    try:
        request = parse_generation(fields)
    except ApiError as error:
        assert error.code == 400 and error.message.startswith(name)
    else:
        assert isinstance(request, GenerationRequest)
        msgspec.json.encode(request)


@pytest.mark.parametrize("model", [b"", b'"model": 7,', b'"model": null,', b'"model": "\xff",'])
def test_a_body_without_a_model_is_refused(model: bytes) -> None:
    exchange = exchange_of(b'{%s"max_tokens": 5, "messages": []}' % model)
    with pytest.raises(ApiError) as raised:
        MessagesEndpoint().parse(exchange, b"", load_catalogue())
    assert raised.value.code == 400
    assert ("UTF-8" if b"\xff" in model else "model") in raised.value.message
