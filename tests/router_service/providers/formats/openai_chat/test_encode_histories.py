"""Test how histories are fitted to the provider that gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from router_service.core.errors import ApiError
from router_service.core.generation import (
    GenerationRequest,
    Message,
)
from router_service.core.parts import Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from router_service.providers.formats.openai_chat.dialect import Dialect, dialect_of, origin_of
from router_service.providers.formats.openai_chat.tools import valid_arguments
from tests.router_service.providers.formats.openai_chat.test_encode import (
    USER,
    _assistant,
    _body,
    _raw,
    _request,
    _turns,
)
from tests.router_service.providers.formats.openai_chat.wire import CASES, FORMAT, case_endpoint, decoded, endpoint


def test_empty_parts_and_turns_are_left_out_and_order_is_kept():
    messages = [
        Message(role="developer", parts=[Text(text="d")]),
        Message(role="user", parts=[Text(text=""), Text(text="a"), Text(text="b")], name="ann"),
        Message(role="user", parts=[Text(text="")]),
        _assistant(Text(text="")),
        _assistant(Reasoning(text="r")),
        Message(role="system", parts=[Text(text="later")]),
        _assistant(Text(text="x"), Text(text="y")),
    ]
    assert _turns(*messages) == [
        {"role": "system", "content": "d"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "ann"},
        {"role": "system", "content": "later"},
        {"role": "assistant", "content": "xy"},
    ]
    own = Dialect(developer_role=True, message_names=False)
    assert next(turn["role"] for turn in _turns(*messages, dialect=own)) == "developer"
    assert all("name" not in turn for turn in _turns(*messages, dialect=own))


def test_instructions_come_first():
    request = GenerationRequest(instructions=[Message(role="system", parts=[Text(text="s")])], messages=[USER])
    assert [turn["role"] for turn in _body(request)["messages"]] == ["system", "user"]


CALL = ToolCall(call_id="call_PTLP8xhu3uwZ", name="f", arguments='{"a": ')
RESULT = ToolResult(call_id="call_PTLP8xhu3uwZ", content=[Text(text="18 C")])


def test_arguments_that_are_cut_off_are_passed_or_wrapped():
    turn, _ = _turns(_assistant(CALL), dialect=Dialect(valid_arguments=False))
    assert turn == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_PTLP8xhu3uwZ", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
        ],
    }
    turn, _ = _turns(_assistant(CALL), dialect=Dialect())
    assert json.loads(turn["tool_calls"][0]["function"]["arguments"]) == {"_invalid_arguments": '{"a": '}


@pytest.mark.parametrize(
    ("given", "sent"), [("", "{}"), (" ", "{}"), ('{"a":1}', '{"a":1}'), ("[1]", '{"_invalid_arguments":"[1]"}')]
)
def test_valid_arguments_are_an_object(given, sent):
    assert valid_arguments(given) == sent


def test_ids_are_fitted_in_the_same_way_in_call_and_result():
    nine = Dialect(tool_call_ids="nine_alphanumeric")
    call, result = _turns(_assistant(CALL), Message(role="tool", parts=[RESULT]), dialect=nine)
    fitted = call["tool_calls"][0]["id"]
    assert len(fitted) == 9 and fitted.isalnum() and fitted.isascii()
    assert result["tool_call_id"] == fitted
    again = ToolCall(call_id=fitted, name="f", arguments="{}")
    assert _turns(_assistant(again), dialect=nine)[0]["tool_calls"][0]["id"] == fitted
    other = ToolCall(call_id="call_other", name="f", arguments="{}")
    assert _turns(_assistant(other), dialect=nine)[0]["tool_calls"][0]["id"] != fitted


@pytest.mark.parametrize("call_id", ["f:0", "abcdefghi", "", "f" * 99])
@pytest.mark.parametrize("kind", ["nine_alphanumeric", "short"])
def test_an_id_that_several_calls_have_becomes_several(call_id, kind):
    """Kimi counts the calls of each turn anew; parallel calls of one name may share an id as well."""
    call = ToolCall(call_id=call_id, name="f", arguments="{}")
    results = [Message(role="tool", parts=[ToolResult(call_id=call_id, content=[Text(text=str(n))])]) for n in range(3)]
    dialect = Dialect(tool_call_ids=kind)
    turns = _turns(_assistant(call, call), *results[:2], _assistant(call), results[2], dialect=dialect)
    sent = [one["id"] for turn in turns for one in turn.get("tool_calls", ())]
    answered = {turn["tool_call_id"]: turn["content"] for turn in turns if turn["role"] == "tool"}
    if kind == "nine_alphanumeric" or len(call_id) == 99 or not call_id:
        assert [answered[one] for one in sent] == ["0", "1", "2"]


def test_long_ids_are_shortened_where_the_provider_wants_short_ones():
    long = "call_gen-1764434466-0123456789abcdef0123_0"
    called = _assistant(ToolCall(call_id=long, name="f", arguments="{}"))
    result = Message(role="tool", parts=[ToolResult(call_id=long, content=[Text(text="x")])])
    call, answered = _turns(called, result, dialect=Dialect(tool_call_ids="short"))
    fitted = call["tool_calls"][0]["id"]
    assert answered["tool_call_id"] == fitted and fitted.startswith("call_") and len(fitted) <= 40
    assert _turns(called)[0]["tool_calls"][0]["id"] == long
    short = _assistant(ToolCall(call_id=long[:40], name="f", arguments="{}"))
    assert _turns(short, dialect=Dialect(tool_call_ids="short"))[0]["tool_calls"][0]["id"] == long[:40]


def test_calls_without_ids_are_paired_in_order():
    calls = [ToolCall(name="f", arguments="{}"), ToolCall(name="g", arguments="{}")]
    results = [ToolResult(call_id="", content=[Text(text=text)]) for text in "abc"]
    call, *answered = _turns(_assistant(*calls), Message(role="tool", parts=results))
    ids = [one["id"] for one in call["tool_calls"]]
    assert [turn["tool_call_id"] for turn in answered[:2]] == ids and len(set(ids)) == 2
    assert answered[2]["role"] == "user" and "c" in str(answered[2]["content"])


def test_results_of_several_parts_and_with_media():
    """A result takes text alone: media follow in a turn of the user, after all results."""
    image = Media(kind="image", url="https://a/b.png")
    first = ToolResult(call_id="a", content=[Text(text="x"), image, Text(text="y")])
    second = ToolResult(call_id="b", content=[])
    note = Text(text="note")
    called = _assistant(*(ToolCall(call_id=one, name="f", arguments="{}") for one in "ab"))
    turns = _turns(called, Message(role="tool", parts=[first]), Message(role="user", parts=[second, note]))
    assert turns[1:] == [
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}],
        },
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
        {"role": "user", "content": "note"},
    ]
    assert _turns(Message(role="tool", parts=[note])) == [{"role": "user", "content": "note"}]


def _told(turns: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(turn["role"], turn.get("tool_call_id") or str(turn.get("content"))) for turn in turns]


def test_calls_and_results_stand_together_and_none_stands_alone():
    """A cancelled tool, a history cut at its beginning and a note between results end no conversation."""
    one, two = (ToolCall(call_id=name, name="f", arguments="{}") for name in ("one", "two"))
    results = {name: Message(role="tool", parts=[ToolResult(call_id=name, content=[])]) for name in ("one", "two")}
    asked = [("user", "hello"), ("assistant", "None")]
    both = [*asked, ("tool", "one"), ("tool", "two")]
    called = [USER, _assistant(one, two)]
    assert _told(_turns(*called, results["one"], USER, results["two"])) == [*both, ("user", "hello")]
    assert _told(_turns(*called, results["two"], USER)) == [*asked, ("tool", "two"), ("tool", "one"), ("user", "hello")]
    assert _told(_turns(*called)) == both
    assert _told(_turns(*called, _assistant(Text(text="x")), results["one"]))[:5] == [*both, ("assistant", "x")]
    alone = ToolResult(call_id="one", content=[Text(text="18 C"), Text(text="dry")])
    told = "Result of the earlier tool call one:"
    (sent,) = _turns(Message(role="tool", parts=[alone]), dialect=Dialect(text_parts=False))
    assert sent == {"role": "user", "content": f"{told}\n18 C\n\ndry"}
    (sent,) = _turns(Message(role="tool", parts=[alone]))
    assert [part["text"] for part in sent["content"]] == [told, "18 C", "dry"]


def test_custom_and_hosted_calls():
    custom = ToolCall(call_id="a", name="shell", arguments="ls", kind="custom")
    hosted = ToolCall(call_id="h", name="search", kind="hosted")
    result = Message(role="tool", parts=[ToolResult(call_id="h", content=[Text(text="found")])])
    turn, missing = _turns(_assistant(custom, hosted), result)
    assert missing == {"role": "tool", "tool_call_id": "a", "content": "This call returned no result."}
    assert turn["tool_calls"] == [{"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}}]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", None])
def test_reasoning_goes_into_the_field_of_the_dialect(field):
    said = Text(text="x")
    parts = [Reasoning(text="a"), Reasoning(text="b", origin="here"), Reasoning(text="c", origin="elsewhere"), said]
    dropped: set[str] = set()
    (turn,) = _turns(_assistant(*parts), dialect=Dialect(reasoning_field=field), dropped=dropped)
    assert turn == {"role": "assistant", "content": "x"} | ({field: "ab"} if field else {})
    assert dropped == {"reasoning"}


def test_reasoning_of_a_known_kind_is_not_taken_for_the_providers_own():
    """Take back a part without its origin, as a client API sends it that names the kind of token."""
    claude = Reasoning(text="a", signature="s", format="anthropic-claude-v1")
    dropped: set[str] = set()
    own = Dialect(reasoning_field="reasoning_content")
    assert _turns(_assistant(claude, Text(text="x")), dialect=own, dropped=dropped) == [
        {"role": "assistant", "content": "x"}
    ]
    assert dropped == {"reasoning"}
    (turn,) = _turns(_assistant(claude, Text(text="x")), dialect=Dialect(reasoning_details=True))
    assert turn["reasoning_details"] == [
        {"type": "reasoning.text", "text": "a", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    ]


def test_signed_reasoning_goes_back_to_its_origin_alone():
    detail = {"type": "reasoning.server_tool_call", "name": "search"}
    parts = [
        Reasoning(text="a", signature="s", format="f", origin="here"),
        Reasoning(encrypted="e", item_id="rs_1", origin="here"),
        Reasoning(text="b", summary=True, origin="here"),
        Reasoning(text="c", signature="s", origin="elsewhere"),
        Opaque(dialect="openai_chat", raw=_raw(detail), origin="here"),
        Text(text="x"),
    ]
    (turn,) = _turns(_assistant(*parts), dialect=Dialect(reasoning_details=True))
    assert turn["reasoning_details"] == [
        {"type": "reasoning.text", "text": "a", "signature": "s", "format": "f", "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "id": "rs_1", "index": 1},
        {"type": "reasoning.summary", "summary": "b", "index": 2},
        detail,
    ]
    assert _turns(_assistant(*parts)) == [{"role": "assistant", "content": "x"}]


def test_refusals_go_into_their_field_or_are_text():
    refused = _assistant(Refusal(text="no"))
    assert _turns(refused, dialect=Dialect(refusal_field=True)) == [
        {"role": "assistant", "content": None, "refusal": "no"}
    ]
    assert _turns(refused) == [{"role": "assistant", "content": "no"}]


def test_earlier_audio_is_referred_to_or_repeated_as_text():
    audio = Media(kind="audio", item_id="audio_1", origin="here", transcript="hi")
    own = Dialect(audio_history=True)
    assert _turns(_assistant(audio), dialect=own) == [
        {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    ]
    assert _turns(_assistant(audio)) == [{"role": "assistant", "content": "hi"}]
    dropped: set[str] = set()
    assert _turns(_assistant(Media(kind="audio", data="aa")), dropped=dropped) == [] and dropped == {"messages.audio"}


def test_parts_of_other_dialects_are_replaced_by_their_text():
    own = Opaque(dialect="openai_chat", raw=_raw({"type": "vendor"}))
    broken = Opaque(dialect="openai_chat", raw=Raw(b"[1]"))
    foreign = Opaque(dialect="other", raw=_raw({}), text="found")
    silent = Opaque(dialect="other", raw=_raw({}))
    assert _turns(_assistant(foreign, silent)) == [{"role": "assistant", "content": "found"}]
    assert _turns(_assistant(own, broken)) == [{"role": "assistant", "content": [{"type": "vendor"}, [1]]}]


@pytest.mark.parametrize("provider", ["openai", "mistral", "deepseek", "moonshotai", "openrouter", "groq"])
@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.response and case.status == 200))
def test_every_answer_can_be_sent_back(name, provider):
    """The parts of an answer, appended as an assistant turn, become a valid body for any provider."""
    try:
        result = decoded(CASES[name].response)
    except ApiError:
        return
    parts = result.choices[0].parts if result.choices else []
    results = [ToolResult(call_id=part.call_id) for part in parts if isinstance(part, ToolCall)]
    answered = [Message(role="tool", parts=list(results))] if results else []
    body = _body(_request(USER, _assistant(*parts), *answered, USER), endpoint(provider))
    for turn in body["messages"]:
        assert turn.keys() <= {"role", "content", "refusal", "audio", "tool_calls", "tool_call_id"} | {
            "reasoning",
            "reasoning_content",
            "reasoning_details",
        }
        assert turn.get("content") or turn["role"] == "tool" or turn.keys() & {"tool_calls", "audio", "refusal"}
    made = [call["id"] for turn in body["messages"] for call in turn.get("tool_calls", ())]
    assert made == [turn["tool_call_id"] for turn in body["messages"] if turn["role"] == "tool"]


def test_the_origin_names_provider_and_model():
    assert origin_of("a", "b") == "openai_chat/a/b"
    case = CASES["history_mistral_tool_ids"]
    assert (
        FORMAT.encode(_request(), case_endpoint(case), "g").context.origin == "openai_chat/mistral/mistral-small-latest"
    )


CALLED, ANSWERED = _assistant(CALL), Message(role="tool", parts=[RESULT])
NOTED = Message(role="system", parts=[Text(text="be brief")])


@pytest.mark.parametrize(
    ("messages", "roles"),
    [
        ([USER, CALLED, ANSWERED, USER], ["user", "assistant", "tool", "assistant", "user"]),
        ([USER, CALLED, ANSWERED, NOTED], ["user", "assistant", "tool", "assistant", "user"]),
        ([USER, _assistant(Text(text="hi")), NOTED, USER], ["user", "assistant", "user", "user"]),
        ([NOTED, NOTED, USER, NOTED], ["system", "system", "user", "system"]),
        ([USER, CALLED, ANSWERED], ["user", "assistant", "tool"]),
    ],
)
@pytest.mark.parametrize(("provider", "model"), [("mistral", "mistral-large-2512"), ("vllm", "mistralai/Devstral-2")])
def test_turns_come_in_the_order_of_mistral(messages, roles, provider, model):
    turns = _turns(*messages, dialect=dialect_of(provider, model))
    assert [turn["role"] for turn in turns] == roles
    assert all(turn["content"] for turn in turns if not turn.get("tool_calls"))
    assert not any("prefix" in turn for turn in turns)
    ids = [one["id"] for turn in turns for one in turn.get("tool_calls", ())]
    assert all(len(one) == 9 and one.isalnum() for one in ids)


def test_the_beginning_of_an_answer_is_named_one_where_mistral_asks_for_it():
    begun = _assistant(Text(text="The answer is"))
    assert _turns(USER, begun, dialect=dialect_of("mistral"))[-1]["prefix"] is True
    assert "prefix" not in _turns(USER, CALLED, dialect=dialect_of("mistral"))[-1]
    assert "prefix" not in _turns(USER, begun, dialect=dialect_of("vllm", "Qwen/Qwen3-32B"))[-1]


def test_calls_without_a_text_have_an_empty_one_where_content_cannot_be_null():
    assert _turns(USER, CALLED, ANSWERED, dialect=dialect_of("xai"))[1]["content"] == ""
    assert _turns(USER, CALLED, ANSWERED, dialect=dialect_of("openai"))[1]["content"] is None


@pytest.mark.parametrize(("provider", "absent"), [("deepseek", ""), ("moonshotai", " ")])
def test_what_stands_for_absent_reasoning_is_taken_for_some_by_the_vendor(provider, absent):
    turns = _turns(USER, CALLED, ANSWERED, dialect=dialect_of(provider))
    assert turns[1]["reasoning_content"] == absent


@pytest.mark.parametrize(
    ("model", "field"), [("llama-3.3-70b", None), ("openai/gpt-oss-120b", "reasoning"), ("qwen/qwen3-32b", "reasoning")]
)
def test_groq_gets_reasoning_for_models_that_reason(model, field):
    dropped: set[str] = set()
    said = _assistant(Reasoning(text="r"), Text(text="x"))
    (turn,) = _turns(said, dialect=dialect_of("groq", model), dropped=dropped)
    assert turn == {"role": "assistant", "content": "x"} | ({field: "r"} if field else {})
    assert dropped == (set() if field else {"reasoning"})


def test_names_of_assistants_go_to_dialects_that_know_them():
    named = Message(role="assistant", parts=[Text(text="a")], name="ann")
    assert _turns(named) == [{"role": "assistant", "content": "a", "name": "ann"}]
    assert _turns(named, dialect=Dialect(message_names=False)) == [{"role": "assistant", "content": "a"}]


def test_parts_that_only_assistants_have_say_nothing_in_other_turns():
    parts = [Reasoning(text="r"), Text(text="a"), ToolCall(call_id="c", name="f", arguments="{}")]
    assert _turns(Message(role="user", parts=parts)) == [{"role": "user", "content": "a"}]
