"""Checks that a body whose bytes are copied says what the encoded request says, and what is copied."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from data.catalogue.types import Price
from router_service.core.errors import ApiError
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat import DIALECT
from router_service.core.wire.chat_traits import inspect_messages
from router_service.providers.formats.openai_chat import dialect as dialects
from router_service.providers.formats.openai_chat import splice
from router_service.providers.formats.openai_chat.dialect import Dialect
from tests.router_service.providers.formats.openai_chat.chat_request import parse_chat
from tests.router_service.providers.formats.openai_chat.wire import CASES, FORMAT, case_endpoint, endpoint

PLAIN = endpoint("a-plain-server", "llama")
MESSAGES = [{"role": "user", "content": "hello"}]
RESULT = {"role": "tool", "tool_call_id": "call_PTLP8xhu3uwZ", "content": "18 C"}
CALL = {"id": "call_PTLP8xhu3uwZ", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REQUESTS = sorted(name for name, case in CASES.items() if case.documented_request is not None)


def _never(_fields: Any) -> Any:
    raise AssertionError("the request was parsed although nothing has to change")


def _spliced(body: dict[str, Any], to: Any = PLAIN, *, parses: bool = True, **more: Any) -> Any:
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, Raw])
    return FORMAT.encode_source(_source(fields, body if parses else None, **more), to, "gen-1")


def _source(fields: dict[str, Raw], body: dict[str, Any] | None, *, stream: bool = False) -> RequestSource:
    parse = _never if body is None else (lambda _fields: parse_chat(body, stream=stream))
    traits = inspect_messages(fields["messages"]) if "messages" in fields else 0
    return RequestSource(DIALECT, fields, traits, stream, parse)


def _body(encoded: Any) -> dict[str, Any]:
    """Returns a body in which one text in a list is the text, empty text beside calls null, and no choice is auto."""
    found = json.loads(encoded.request.body) if not isinstance(encoded, dict) else encoded
    found = {name: value for name, value in found.items() if (name, value) != ("tool_choice", "auto")}
    return found | {"messages": [_plain(message) for message in found["messages"]]}


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    match message.get("content"):
        case [{"type": "text", "text": text, **rest}] if not rest:
            return message | {"content": text}
        case "" if "tool_calls" in message:
            return message | {"content": None}
    return message


@pytest.mark.parametrize("name", REQUESTS)
def test_fixtures_become_the_documented_request(name):
    """Both ways of a request lead to the body that the vendor documents."""
    case = CASES[name]
    to = case_endpoint(case)
    documented = _body(case.documented_request)
    encoded = FORMAT.encode(parse_chat(case.request), to, "gen-1")
    assert _body(encoded) == documented
    assert _body(_spliced(case.request, to)) == documented


TEXTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


@pytest.mark.parametrize("provider", ["deepseek", "siliconflow", "groq", "ollama"])
@pytest.mark.parametrize("padding", ["", "x" * 40_000])
def test_texts_become_one_where_content_has_to_be_a_string(provider, padding):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [
        {"role": "system", "content": TEXTS},
        {"role": "user", "content": TEXTS},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": TEXTS},
        {"role": "user", "content": [*TEXTS, PICTURE]},
        {"role": "user", "content": f"c{padding}"},
    ]
    for messages in (said, said[:2], said[-1:]):
        sent = _body(_spliced({"model": "m", "messages": messages}, endpoint(provider, "m")))["messages"]
        told = [one["content"] for one in messages]
        wanted = ["a\n\nb" if one == TEXTS else one for one in told]
        assert [one["content"] for one in sent] == wanted
        copied = _body(_spliced({"model": "m", "messages": messages}, parses=False))["messages"]
        assert [one["content"] for one in copied] == told


@pytest.mark.parametrize("provider", ["a-plain-server", *dialects._rows()])
def test_both_ways_say_the_same_to_every_provider(provider):
    """Every fixture is copied to what it is translated to, or refused with the same sentence, in every dialect."""
    differences = []
    for name, case in sorted(CASES.items()):
        to = endpoint(provider, "model-1")
        for stream in (False, True):
            body = case.request | ({"stream": True} if stream else {})
            found = [_said(way, body, to, stream=stream) for way in (_translated, _spliced)]
            if found[0] != found[1]:
                differences.append((name, stream, *found))
    assert differences == []


def _translated(body: dict[str, Any], to: Any, *, stream: bool) -> Any:
    return FORMAT.encode(parse_chat(body, stream=stream), to, "gen-1")


def _said(way: Any, body: dict[str, Any], to: Any, *, stream: bool) -> Any:
    try:
        encoded = way(body, to, stream=stream)
    except ApiError as error:
        return error.message
    return _body(encoded), encoded.context, encoded.dropped, encoded.request.url, encoded.request.headers


@pytest.mark.parametrize(
    "messages",
    [
        MESSAGES,
        [{"role": "system", "content": "s"}, *MESSAGES, {"role": "assistant", "content": "a"}, *MESSAGES],
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}],
            }
        ],
        [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT],
        [*MESSAGES, {"role": "assistant", "content": "", "tool_calls": [CALL]}, RESULT, *MESSAGES],
        [*MESSAGES, {"role": "assistant", "tool_calls": [CALL], "content": "a"}, RESULT],
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "b"}]},
            RESULT | {"tool_call_id": "b", "content": [{"type": "text", "text": "18 C"}]},
            RESULT,
        ],
        [{"role": "user", "content": "hello", "name": "ann"}],
        [{"role": "user", "content": "x" * 100_000}],
        [{"role": "user", "content": "x" * 100_000}, {"role": "user", "content": [{"type": "text", "text": "a"}]}],
    ],
)
def test_messages_that_need_no_fitting_keep_their_bytes(messages):
    body = b'{"messages":%s , "temperature" : 1e-1}' % json.dumps(messages).encode()
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    encoded = FORMAT.encode_source(_source(fields, None), PLAIN, "gen-1")
    assert json.dumps(messages).encode() in encoded.request.body
    assert b'"temperature":1e-1' in encoded.request.body


@pytest.mark.parametrize(
    "messages",
    [
        [RESULT, *MESSAGES],
        [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}, *MESSAGES],
        [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}, *MESSAGES, RESULT],
        [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
        [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT, RESULT],
    ],
)
def test_calls_and_results_without_each_other_are_translated(messages):
    body = {"messages": messages}
    assert _body(_spliced(body)) == _body(FORMAT.encode(parse_chat(body), PLAIN, "gen-1")) != body


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "a", "refusal": None},
        {"role": "assistant", "content": "a", "reasoning": "r"},
        {"role": "assistant", "content": "a", "reasoning_details": []},
        {"role": "assistant", "content": "a", "annotations": [], "images": []},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}]},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"role": "developer", "content": "d"},
        {"role": "tool", "tool_call_id": "a", "content": []},
        {"role": "tool", "tool_call_id": "a", "content": "18 C", "name": "f"},
        {"role": "user", "content": "a", "vendor": 1},
    ],
)
@pytest.mark.parametrize("padding", ["", "x" * 100_000])
def test_other_messages_are_fitted(message, padding):
    body = {"messages": [*MESSAGES, message, {"role": "user", "content": f"last {padding}"}]}
    encoded = FORMAT.encode(parse_chat(body), PLAIN, "gen-1")
    assert _body(_spliced(body)) == _body(encoded)
    with pytest.raises(AssertionError, match="parsed"):
        _spliced(body, parses=False)


def test_results_are_sent_without_the_names_of_their_tools():
    """The AI SDK adds the name, which OpenAI's turn of a tool does not have."""
    result = {"role": "tool", "tool_call_id": CALL["id"], "content": "18 C"}
    turns = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    assert _body(_spliced({"messages": [*turns, result | {"name": "f"}]}))["messages"][-1] == result


def test_messages_of_another_shape_are_left_to_the_parser():
    """The parser of the client's API tells what is wrong with messages that are none."""
    for messages in (
        3,
        [3],
        [{"role": "other"}],
        {},
        [{"role": "tool", "content": "x"}],
        [{"role": "user", "tool_calls": []}],
    ):
        with pytest.raises(AssertionError, match="parsed"):
            _spliced({"messages": messages}, parses=False)


def test_nulls_router_fields_and_choices_without_tools_are_not_sent():
    body = {"messages": MESSAGES, "temperature": None, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    body |= {"provider": {"only": ["x"]}, "models": ["a"], "plugins": [], "stream": True, "vendor": {"kept": 1}}
    sent = json.loads(_spliced(body, parses=False).request.body)
    assert sent == {"model": "llama", "messages": MESSAGES, "vendor": {"kept": 1}}
    assert json.loads(_spliced({"temperature": 1}, parses=False).request.body) == {"model": "llama", "temperature": 1}


def test_parameters_are_renamed():
    body = {"messages": MESSAGES, "max_tokens": 5, "seed": 7}
    assert json.loads(_spliced(body, endpoint("openai")).request.body)["max_completion_tokens"] == 5
    assert json.loads(_spliced(body, endpoint("mistral")).request.body)["random_seed"] == 7
    for both in ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_completion_tokens": 6, "max_tokens": 5}):
        assert json.loads(_spliced({"messages": MESSAGES, **both}).request.body)["max_tokens"] == 6
    one = {"max_completion_tokens": None, "max_tokens": 5}
    assert json.loads(_spliced({"messages": MESSAGES, **one}).request.body)["max_tokens"] == 5


def test_cache_marks_of_tools_are_dropped_and_reported():
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}
    encoded = _spliced({"messages": MESSAGES, "tools": [tool], "cache_control": {"type": "ephemeral"}})
    assert json.loads(encoded.request.body)["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert encoded.dropped == ("cache_control",)
    kept = _spliced({"messages": MESSAGES, "tools": [tool]}, endpoint("openrouter"), parses=False)
    assert json.loads(kept.request.body)["tools"] == [tool]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ({"reasoning": None}, {}),
        ({"speed": "fast"}, {}),
    ],
)
def test_reasoning_and_speed(fields, sent):
    body = json.loads(_spliced({"messages": MESSAGES, **fields}, parses=False).request.body)
    assert body == {"model": "llama", "messages": MESSAGES, **sent}


@pytest.mark.parametrize("fields", [{"reasoning": 3}, {"reasoning": {"effort": "huge"}}, {"service_tier": 3}])
def test_malformed_fields_that_have_to_be_read_are_refused_with_a_sentence(fields):
    with pytest.raises(ApiError) as raised:
        _spliced({"messages": MESSAGES, **fields})
    assert raised.value.code == 400 and next(iter(fields)) in raised.value.message


def test_tiers():
    tiers = (("default", Price(1, 1)), ("flex", Price(1, 1)))
    to = endpoint("openai", service_tier="flex", tier_prices=tiers)
    assert json.loads(_spliced({"messages": MESSAGES}, to).request.body)["service_tier"] == "flex"
    assert _spliced({"messages": MESSAGES, "service_tier": "flex"}).dropped == ("service_tier",)


@pytest.mark.parametrize(("n", "choices"), [(3, 3), ("x", 1), (None, 1)])
def test_the_number_of_choices_is_known(n, choices):
    assert _spliced({"messages": MESSAGES, "n": n}).context.choices == choices


def test_dialects_that_take_no_reasoning_or_any_arguments(monkeypatch):
    """A row of the table is all that such a provider needs."""
    rows = {
        "strict": Dialect(reasoning_request="none"),
        "lenient": Dialect(valid_arguments=False),
    }
    monkeypatch.setattr(dialects, "_rows", lambda: rows)
    splice._plan.cache_clear()
    to = endpoint("strict")
    cut = {**CALL, "function": {"name": "f", "arguments": '{"a": '}}
    body = {
        "messages": [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [cut]}, RESULT],
        "reasoning_effort": "low",
    }
    encoded = _spliced(body, to)
    assert encoded.dropped == ("reasoning",)
    assert _body(encoded) == _body(FORMAT.encode(parse_chat(body), to, "gen-1"))
    assert b"_invalid_arguments" in encoded.request.body and b"reasoning" not in encoded.request.body
    assert _body(_spliced(body, endpoint("lenient")))["messages"] == body["messages"]
    splice._plan.cache_clear()
