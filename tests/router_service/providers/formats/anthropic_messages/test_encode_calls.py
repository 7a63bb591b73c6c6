"""Calls and their results are paired as the vendor wants them, whatever the history lacks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from router_service.core.generation import Message
from router_service.core.parts import CacheMark, Media, Opaque, Text, ToolCall, ToolResult
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    PNG,
    SIGNED,
    ask,
    assistant,
    blocks_of,
    body_of,
    call,
    encode,
    endpoint,
    raw,
    result,
    text,
    turns_of,
    user,
)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": ', {"_invalid_arguments": '{"a": '}),
        ("[1]", {"_invalid_arguments": "[1]"}),
        ('"text"', {"_invalid_arguments": '"text"'}),
        ("null", {"_invalid_arguments": "null"}),
        ("not json", {"_invalid_arguments": "not json"}),
        ('{"a":1}{"b":2}', {"_invalid_arguments": '{"a":1}{"b":2}'}),
        ('{"a":NaN}', {"_invalid_arguments": '{"a":NaN}'}),
        ('{"a":"\\ud83d"}', {"_invalid_arguments": '{"a":"\\ud83d"}'}),
        ('{"a":' * 5000 + "1" + "}" * 5000, {"_invalid_arguments": '{"a":' * 5000 + "1" + "}" * 5000}),
        ("", {}),
        ("  ", {}),
        ('{"n": 12345678901234567890123, "f": 1.0}', {"n": 12345678901234567890123, "f": 1.0}),
    ],
)
def test_arguments_that_are_no_object_let_the_conversation_go_on(arguments: str, sent: dict[str, Any]) -> None:
    """Arguments that were cut off, or are no object, are sent as the text of one argument."""
    found = turns_of(user("?"), assistant(call(arguments=arguments)), result("call_1"))
    assert found[1]["content"] == [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": sent}]
    assert found[2]["content"][0]["tool_use_id"] == "call_1"


@pytest.mark.parametrize(
    "call_id", ["call_PTLP8xhu3uwZ", "functions.get_weather:0", "a" * 65, "", "é", "call 1", "a|b", "x" * 5000]
)
def test_ids_of_calls_are_fitted_in_call_and_result(call_id: str) -> None:
    """An id matches what the vendor takes, is the same in call and result, and the same in every request."""
    messages = user("?"), assistant(call(call_id)), result(call_id)
    found = turns_of(*messages)
    sent = found[1]["content"][0]["id"]
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", sent)
    assert found[2]["content"][0]["tool_use_id"] == sent
    assert turns_of(*messages) == found
    assert (sent == call_id) == bool(re.fullmatch("[a-zA-Z0-9_-]{1,64}", call_id))


def test_ids_that_come_twice_are_made_unique() -> None:
    """The vendor refuses two calls of one id; results go to the calls in their order."""
    found = turns_of(
        user("?"),
        assistant(call("0"), call("0")),
        result("0", "a"),
        result("0", "b"),
        assistant(call("0")),
        result("0"),
    )
    first, second = (block["id"] for block in found[1]["content"])
    third = found[3]["content"][0]["id"]
    assert len({first, second, third}) == 3
    assert [(b["tool_use_id"], b["content"][0]["text"]) for b in found[2]["content"]] == [(first, "a"), (second, "b")]
    assert found[4]["content"][0]["tool_use_id"] == third


def test_ids_that_differ_in_a_forbidden_character_stay_different() -> None:
    """Two ids never become one."""
    found = turns_of(user("?"), assistant(call("a.b"), call("a:b")), result("a:b", "second"), result("a.b", "first"))
    first, second = (block["id"] for block in found[1]["content"])
    assert [block["tool_use_id"] for block in found[2]["content"]] == [second, first]


def test_a_call_without_a_result_gets_an_error() -> None:
    """The vendor wants a result for each call right after it, so the missing one is made."""
    missing = {
        "type": "tool_result",
        "tool_use_id": "b",
        "is_error": True,
        "content": [text("This call returned no result.")],
    }
    found = turns_of(user("?"), assistant(call("a"), call("b")), user("Wait."), result("a"), user("Go on."))
    assert [block.get("tool_use_id") for block in found[2]["content"]] == ["a", "b", None, None]
    assert found[2]["content"][1] == missing
    assert turns_of(user("?"), assistant(call("b")))[-1] == {"role": "user", "content": [missing]}


def test_a_result_without_a_call_is_text() -> None:
    """A result whose call is gone, was answered before, or lies further back is told as text, with its images."""
    image = ToolResult(call_id="gone", content=[Media(kind="image", data=PNG)], cache=CacheMark())
    found = turns_of(Message(role="tool", parts=[image]), user("Go on."))[0]["content"]
    assert found[0] == text("Result of the earlier tool call gone:")
    assert found[1]["type"] == "image"
    assert found[1]["cache_control"] == {"type": "ephemeral"}
    late = turns_of(user("?"), assistant(call()), user("No."), assistant("Ok."), result("call_1"), user("Go on."))
    assert late[2]["content"][0]["is_error"] is True
    assert late[4]["content"] == [text("Result of the earlier tool call call_1:"), text("18 C"), text("Go on.")]
    twice = turns_of(user("?"), assistant(call()), result("call_1"), result("call_1", ""))
    assert twice[2]["content"][1:] == [text("Result of the earlier tool call call_1:"), text("(empty)")]


def test_results_may_have_images_documents_and_errors() -> None:
    """The content of a result is blocks, and an error always says something."""
    content: list[Any] = [
        Text(text="Seen."),
        Media(kind="image", data=PNG),
        Media(kind="document", data="JVBERi0xLjQ=", media_type="application/pdf"),
    ]
    shown = Message(role="tool", parts=[ToolResult(call_id="call_1", content=content, cache=CacheMark())])
    block = turns_of(user("?"), assistant(call()), shown)[2]["content"][0]
    assert [inner["type"] for inner in block["content"]] == ["text", "image", "document"]
    assert block["cache_control"] == {"type": "ephemeral"}
    failed = turns_of(user("?"), assistant(call()), result("call_1", "", is_error=True))[2]["content"][0]
    assert failed["is_error"] is True
    assert failed["content"] == [text("The tool failed without a message.")]


def test_hosted_calls_without_their_other_half_are_dropped() -> None:
    """The vendor refuses a hosted call without its result, except in the turn that it has paused."""
    hosted = Opaque(dialect="anthropic_messages", raw=raw({"type": "server_tool_use", "id": "s1", "name": "w"}))
    found = Opaque(dialect="anthropic_messages", raw=raw({"type": "web_search_tool_result", "tool_use_id": "s2"}))
    request = ask(user("?"), assistant(hosted, found), user("Go on."), assistant("Yes."), user("And?"))
    assert [turn["role"] for turn in body_of(request)["messages"]] == ["user", "assistant", "user"]
    assert encode(request).dropped == ("hosted_tools",)
    paused = body_of(ask(user("?"), assistant(SIGNED, "I search. ", hosted)), endpoint("claude-opus-4-7"))["messages"]
    assert [block["type"] for block in paused[-1]["content"]] == ["thinking", "text", "server_tool_use"]
    assert paused[-1]["content"][1] == text("I search. ")


def test_a_hosted_call_of_another_dialect_is_text() -> None:
    """A call that this provider cannot have run is told as text."""
    hosted = ToolCall(call_id="h", name="web_search", arguments="{}", kind="hosted")
    assert blocks_of(assistant(hosted)) == [text("web_search({})")]
