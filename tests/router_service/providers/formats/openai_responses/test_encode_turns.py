"""Test that histories become items which the vendor accepts: ids and reasoning return to their origin alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.generation import OutputFormat
from router_service.core.parts import (
    CacheMark,
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from tests.router_service.providers.formats.openai_responses.responses_world import (
    ORIGIN,
    PNG,
    ask,
    assistant,
    body_of,
    call,
    encode,
    endpoint,
    input_of,
    raw,
    result,
    said,
    turn,
    user,
)

FORM = "openai-responses-v1"
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
CALLED = {"type": "function_call", "call_id": "call_1", "name": "hoist", "arguments": "{}"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}


def thought(*, item_id: str | None = "rs_1", origin: str | None = ORIGIN, **fields: Any) -> Reasoning:
    """Return encrypted reasoning."""
    return Reasoning(encrypted="gAAA", item_id=item_id, origin=origin, **fields)


def own(text: str, item_id: str | None = "msg_1", origin: str | None = ORIGIN, **fields: Any) -> Text:
    """Return a text that has an id at its origin."""
    return Text(text=text, item_id=item_id, origin=origin, **fields)


def sealed(**fields: Any) -> dict[str, Any]:
    """Return an item of reasoning."""
    return {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"} | fields


def turn_of(*parts: Any, at: Any = None) -> list[dict[str, Any]]:
    """Return the items of one turn of the assistant."""
    return input_of(user("Hello!"), assistant(*parts), user("Go on."), at=at)[1:-1]


def test_roles_names_and_instructions() -> None:
    request = ask(
        turn("user", "Hi", name="captain"), turn("developer", "Be kind."), turn("system", "Be brief."), user(""),
        instructions=[turn("system", "You pilot."), turn("developer", "At sea.")],
    )  # fmt: skip
    body = body_of(request)
    assert body["instructions"] == "You pilot.\n\nAt sea."
    assert body["input"] == [said("user", "captain: Hi"), said("developer", "Be kind."), said("system", "Be brief.")]
    assert body["store"] is False and body["include"] == ["reasoning.encrypted_content"]


def test_instructions_stand_in_the_input_where_that_would_be_empty_or_has_to_speak_of_json() -> None:
    only = body_of(ask(user(""), instructions=[turn("system", "Say hi.")]))
    assert only["input"] == [said("system", "Say hi.")] and "instructions" not in only
    asked = ask(user("Hi"), instructions=[turn("system", "Write JSON.")], output=OutputFormat(kind="json_object"))
    body = body_of(asked)
    assert body["input"] == [said("system", "Write JSON."), said("user", "Hi")]
    assert body["text"] == {"format": {"type": "json_object"}}
    with pytest.raises(ApiError, match="All messages are empty"):
        encode(ask(user("")))
    with pytest.raises(ApiError, match="System messages are text"):
        encode(ask(user("Hi"), instructions=[turn("system", Media(kind="image", url="https://a/b.png"))]))


def test_media() -> None:
    parts = [
        Media(kind="image", data=PNG, media_type="image/png", detail="high"),
        Media(kind="image", url="https://a/b.png"),
        Media(kind="image", file_id="file-1"),
        Media(kind="file", data=PNG, media_type="image/webp; q=1"),
        Media(kind="document", data="JVBERi0=", media_type="application/pdf"),
        Media(kind="document", data="aGk=", media_type="text/plain", name="a.txt"),
        Media(kind="file", data="aGk=", media_type="application/x-tide"),
        Media(kind="document", url="https://a/b.pdf"),
        Media(kind="document", file_id="file-2"),
    ]
    (item,) = input_of(user(*parts))
    assert item["content"] == [
        {"type": "input_image", "detail": "high", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "input_image", "detail": "auto", "image_url": "https://a/b.png"},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        {"type": "input_image", "detail": "auto", "image_url": f"data:image/webp;base64,{PNG}"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="},
        {"type": "input_file", "filename": "document", "file_data": "data:application/x-tide;base64,aGk="},
        {"type": "input_file", "file_url": "https://a/b.pdf"},
        {"type": "input_file", "file_id": "file-2"},
    ]
    for kind in ("audio", "video"):
        with pytest.raises(ApiError, match=f"takes no {kind} input"):
            encode(ask(user(Media(kind=kind, data="aGk="))))  # type: ignore[arg-type]
    heard = assistant("Hi", Media(kind="audio", data="aGk=", transcript="Ahoy"))
    assert input_of(user("Hi"), heard)[1:] == [said("assistant", "Hi", "Ahoy")]
    assert encode(ask(user("Hi"), assistant(Media(kind="image", data=PNG)))).dropped == ("media",)


def test_calls_and_results() -> None:
    content = [Text(text="A chart:"), Media(kind="image", url="https://a/b.png")]
    items = input_of(
        user("Hi"),
        assistant("I look.", call(), call("call_2", arguments=" ")),
        result("call_1"),
        result("call_2", *content),
    )
    assert items[1:3] == [said("assistant", "I look."), CALLED]
    assert items[4] == OUTPUT
    image = {"type": "input_image", "detail": "auto", "image_url": "https://a/b.png"}
    assert items[3] == CALLED | {"call_id": "call_2"}
    assert items[5]["output"] == [{"type": "input_text", "text": "A chart:"}, image]
    empty = input_of(user("Hi"), assistant(call()), turn("tool", ToolResult(call_id="call_1")))
    assert empty[-1] == OUTPUT | {"output": ""}


def test_calls_and_results_are_paired() -> None:
    """A call without a result gets one, and a result without its call is told as text."""
    items = input_of(
        user("Hi"), assistant(call(), call("call_2")), result("call_1"), result("call_3"), result("call_1")
    )
    missing = {"type": "function_call_output", "call_id": "call_2", "output": "This call returned no result."}
    assert items[1:5] == [CALLED, CALLED | {"call_id": "call_2"}, missing, OUTPUT]
    assert items[5:] == [
        said("user", "Result of the earlier tool call call_3:", "ok"),
        said("user", "Result of the earlier tool call call_1:", "ok"),
    ]
    shown = input_of(user("Hi"), result("call_3", Media(kind="image", url="https://a/b.png")))[-1]
    assert [part["type"] for part in shown["content"]] == ["input_text", "input_image"]


def test_ids_of_calls_are_fitted_alike() -> None:
    long, odd = "c" * 70, "call 1/é"
    items = input_of(
        user("Hi"), assistant(call(long), call(odd), call("same"), call("same"), call("")),
        *(result(one) for one in (long, odd, "same", "same", "")),
    )  # fmt: skip
    ids = [item["call_id"] for item in items if item["type"] == "function_call"]
    assert len(set(ids)) == 5 and ids == [i["call_id"] for i in items if i["type"] == "function_call_output"]
    assert all(0 < len(one) <= 64 and one.replace("_", "").replace("-", "").isalnum() for one in ids)


def test_custom_calls_have_outputs_of_their_own() -> None:
    custom = call(name="sail", arguments="to Genoa", kind="custom")
    items = input_of(user("Hi"), assistant(custom), result())
    assert items[1:] == [
        {"type": "custom_tool_call", "call_id": "call_1", "name": "sail", "input": "to Genoa"},
        OUTPUT | {"type": "custom_tool_call_output"},
    ]
    at_xai = input_of(user("Hi"), assistant(custom), result(), at=endpoint("grok-4.3", "xai"))
    assert at_xai[1:] == [CALLED | {"name": "sail", "arguments": '{"input":"to Genoa"}'}, OUTPUT]


def test_calls_that_another_provider_ran_are_text() -> None:
    hosted = ToolCall(call_id="srv_1", name="web_search", arguments='{"q":1}', kind="hosted")
    assert turn_of(hosted) == [said("assistant", 'web_search({"q":1})')]


def test_reasoning_returns_to_its_origin_with_its_follower() -> None:
    summary = Reasoning(text="Greet.", summary=True, item_id="rs_1", origin=ORIGIN)
    followed = turn_of(summary, thought(), own("Hi"), call(item_id="fc_1", origin=ORIGIN))
    assert followed[:2] == [
        sealed(id="rs_1", summary=[{"type": "summary_text", "text": "Greet."}]),
        said("assistant", "Hi") | {"id": "msg_1"},
    ]
    assert followed[2] == CALLED | {"id": "fc_1"}


@pytest.mark.parametrize(
    "foreign", ["openai_responses/azure", "openai_chat/openai/gpt-5", "anthropic_messages/anthropic", ""]
)
def test_nothing_of_another_origin_is_sent(foreign: str) -> None:
    request = ask(user("Hi"), assistant(thought(origin=foreign), own("Hi", origin=foreign)), user("Go on."))
    assert body_of(request)["input"][1:-1] == [said("assistant", "Hi")]
    assert encode(request).dropped == ("reasoning",)


def test_reasoning_of_the_chat_dialect_is_known_by_its_format() -> None:
    named = thought(item_id=None, origin=None, format=FORM)
    assert turn_of(named, "Hi") == [sealed(), said("assistant", "Hi")]
    with_id = thought(origin=None, format=FORM)
    assert turn_of(with_id, "Hi") == [sealed(), said("assistant", "Hi")]
    assert turn_of(thought(origin=None, format="anthropic-claude-v1"), "Hi") == [said("assistant", "Hi")]
    assert turn_of(thought(origin=None), "Hi") == [said("assistant", "Hi")]
    at_azure = endpoint("gpt-5.2-codex", "azure")
    assert turn_of(named, "Hi", at=at_azure) == [said("assistant", "Hi")]


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ([thought()], []),
        ([own("Hi"), thought()], ["message"]),
        ([Reasoning(text="Greet.", summary=True, item_id="rs_1", origin=ORIGIN), own("Hi")], ["message"]),
        ([thought(), thought(item_id="rs_2"), own("Hi")], ["reasoning", "reasoning", "message"]),
        ([thought(item_id=None), thought(item_id=None), own("Hi")], ["reasoning", "reasoning", "message"]),
        ([thought(), Text(text="Hi"), call(item_id="fc_1", origin=ORIGIN)], ["reasoning", "message", "function_call"]),
        ([thought(item_id=None), own("Hi")], ["reasoning", "message"]),
        ([own("Hi")], ["message"]),
        ([thought(origin="openai_chat/x"), own("Hi")], ["message"]),
    ],
)
def test_ids_go_only_with_the_reasoning_before_them(parts: list[Any], kinds: list[str]) -> None:
    """Send no ids where reasoning has no follower, or its follower no id: they would be refused."""
    items = turn_of(*parts)
    kept = [item["type"] for item in items if item.get("content") != [] and item["type"] != "function_call_output"]
    assert kept == kinds
    assert not any("id" in item for item in items)


def test_a_later_group_has_ids_of_its_own() -> None:
    first, second = [thought(), own("Hi")], [thought(item_id="rs_2"), call(item_id="fc_2", origin=ORIGIN)]
    assert [item.get("id") for item in turn_of(*first, *second)] == ["rs_1", "msg_1", "rs_2", "fc_2", None]
    lost = Reasoning(text="x", item_id="rs_3", origin=ORIGIN)
    assert [item.get("id") for item in turn_of(*first, lost, own("Ho", "msg_3"))] == ["rs_1", "msg_1", None]


def test_a_turn_may_come_in_several_messages() -> None:
    items = input_of(user("Hi"), assistant(thought()), assistant(own("Hi")), user("Go on."))
    assert items[1:-1] == [sealed(id="rs_1"), said("assistant", "Hi") | {"id": "msg_1"}]


def test_models_that_do_not_reason_get_ids_and_no_reasoning() -> None:
    at = endpoint("gpt-4.1")
    assert turn_of(own("Hi"), at=at) == [said("assistant", "Hi") | {"id": "msg_1"}]
    assert turn_of(thought(), own("Hi"), at=at) == [said("assistant", "Hi")]
    assert "include" not in body_of(ask(), at)


def test_messages_are_those_that_the_model_wrote() -> None:
    """Texts of one message stay together, and each keeps its phase."""
    phase = {"openai_responses": {"phase": "commentary"}}
    items = turn_of(
        thought(), own("One"), own("Two"), own("Three", "msg_2", extras=phase),
        Refusal(text="No.", item_id="msg_2", origin=ORIGIN), Refusal(), "",
    )  # fmt: skip
    assert items[1] == said("assistant", "One", "Two") | {"id": "msg_1"}
    assert items[2] == {
        "type": "message", "role": "assistant", "id": "msg_2", "phase": "commentary",
        "content": [{"type": "output_text", "text": "Three"}, {"type": "refusal", "refusal": "No."}],
    }  # fmt: skip


def test_citations_return_to_their_origin() -> None:
    annotation = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}
    cited = Citation(url="u", dialect="openai_responses", raw=raw(annotation))
    (item,) = turn_of(own("Hi", None, citations=[cited, Citation(url="u")]))
    assert item["content"] == [{"type": "output_text", "text": "Hi", "annotations": [annotation]}]
    assert turn_of(own("Hi", None, "openai_responses/xai", citations=[cited])) == [said("assistant", "Hi")]


def hosted(item: dict[str, Any], origin: str | None = ORIGIN, text: str | None = "searched") -> Opaque:
    """Return an item that the provider's own tool made."""
    return Opaque(dialect="openai_responses", raw=raw(item), origin=origin, text=text)


def test_hosted_items_return_to_their_origin() -> None:
    assert turn_of(thought(), hosted(SEARCH), own("Hi"))[:2] == [sealed(id="rs_1"), SEARCH]
    without = {name: value for name, value in SEARCH.items() if name != "id"}
    assert turn_of(hosted(SEARCH)) == [without]
    assert turn_of(hosted(SEARCH, "openai_responses/xai")) == [said("assistant", "searched")]
    assert turn_of(hosted(SEARCH), at=endpoint("gpt-4.1")) == [SEARCH]
    called = {"type": "mcp_call", "id": "mcp_1", "name": "tides"}
    assert turn_of(hosted(called)) == [said("assistant", "searched")]
    assert turn_of("Hi", hosted(called, text=None)) == [said("assistant", "Hi")]
    for odd in (
        '{"type":"input_text","text":7}',
        '{"type":"message"}',
        '{"type":"reasoning"}',
        "7",
        '"x"',
        '{"type":7}',
        "{",
    ):
        part = Opaque(dialect="openai_responses", raw=msgspec.Raw(odd.encode()), text="searched")
        assert turn_of(part) == [said("assistant", "searched")]
    assert turn_of(Opaque(dialect="openai_chat", raw=raw({"type": "x"}), text="x")) == [said("assistant", "x")]


def test_what_the_client_wrote_in_the_dialect_goes_as_it_is() -> None:
    reference = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    picture = {"type": "input_image", "image_url": "https://a/b.png", "detail": "original"}
    items = input_of(user("Hi", hosted(picture, None), hosted(reference, None)))
    assert items == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}, picture]},
        reference,
    ]
    odd = {"type": "function_call", "name": "x"}
    assert input_of(user("Hi", hosted(odd, None)))[-1] == odd
    lone = {"type": "function_call_output", "call_id": "call_9", "output": None}
    assert input_of(user(hosted(lone, None))) == [said("user", "Result of the earlier tool call call_9:", "(empty)")]
    mark = {"openai_responses": {"prompt_cache_breakpoint": {"mode": "explicit"}}}
    (item,) = input_of(user(Text(text="Hi", extras=mark)))
    assert item["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}


def test_cache_marks_are_reported() -> None:
    mark = CacheMark()
    marked = [
        ask(user(Text(text="Hi", cache=mark))),
        ask(user("Hi"), assistant(Text(text="Hi", cache=mark))),
        ask(user("Hi"), assistant(call()), turn("tool", ToolResult(call_id="call_1", cache=mark))),
        ask(cache=mark),
    ]
    assert [encode(request).dropped for request in marked] == [("cache_control",)] * 4


def test_models_that_take_breakpoints_get_them_where_the_vendor_takes_them() -> None:
    """The instructions are a turn then, since a text of its own cannot be marked; an answer cannot be."""
    mark, point = CacheMark("1h"), {"mode": "explicit"}
    request = ask(
        user(Text(text="Hi", cache=mark)),
        assistant(call(), Text(text="Wait")),
        turn("tool", ToolResult(call_id="call_1", content=[Text(text="ok")], cache=mark)),
    )
    request.instructions = [turn("system", "Be brief.", Text(text="Be kind.", cache=mark))]
    new = encode(request, endpoint(model="gpt-5.6-sol"))
    body = json.loads(new.request.body)
    assert "instructions" not in body and not new.dropped
    marked = [item["content"][-1] for item in body["input"][:2]]
    (output,) = [item["output"][-1] for item in body["input"] if item["type"] == "function_call_output"]
    assert [part.get("prompt_cache_breakpoint") for part in (*marked, output)] == [point] * 3
    said = ask(user("Hi"), assistant(Text(text="Hello", cache=mark)), user("Bye"))
    assert encode(said, endpoint(model="gpt-5.6-sol")).dropped == ("cache_control",)


def test_parts_of_other_roles_say_nothing() -> None:
    assert input_of(user("Hi", thought(), call())) == [said("user", "Hi")]
    result_part = ToolResult(call_id="call_1", content=[Text(text="ok")])
    assert turn_of("Hi", result_part) == [said("assistant", "Hi")]
