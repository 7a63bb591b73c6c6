"""Test that the items of a request become the turns of a conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.generation import Message
from router_service.core.origin import PREFIX
from router_service.core.parts import (
    AnyPart,
    CacheMark,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from tests.router_service.api.skins.responses.rendering import HELLO, Rendering, refusal_of


def messages_of(*items: Any, **fields: Any) -> list[Message]:
    generation = Rendering(HELLO | {"input": list(items)} | fields).generation
    return [*generation.instructions, *generation.messages]


def parts_of(*items: Any) -> list[AnyPart]:
    return [part for message in messages_of(*items) for part in message.parts]


def test_a_string_is_the_message_of_a_user() -> None:
    assert Rendering().generation.messages == [Message(role="user", parts=[Text(text="hello")])]


def test_instructions_come_first_and_later_system_turns_stay_in_place() -> None:
    generation = Rendering(
        HELLO
        | {
            "instructions": "Be brief.",
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be exact."}]},
            ],
        }
    ).generation
    assert [(one.role, one.parts) for one in generation.instructions] == [
        ("system", [Text(text="Be brief.")]),
        ("developer", [Text(text="Be kind.")]),
    ]
    assert [one.role for one in generation.messages] == ["user", "system"]


def test_the_items_of_one_turn_of_the_assistant_are_one_message() -> None:
    found = messages_of(
        {"role": "user", "content": "Rome and Oslo?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "*** Begin"},
        {"type": "function_call_output", "call_id": "call_1", "output": "warm"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "done"}]},
        {"role": "user", "content": "And Bonn?"},
    )
    assert [message.role for message in found] == ["user", "assistant", "tool", "user"]
    assert found[1].parts == [
        Reasoning(text="Look", summary=True),
        Text(text="I look.", extras={"openai_responses": {"phase": "commentary"}}),
        ToolCall(call_id="call_1", name="weather", arguments='{"city":"Rome"}'),
        ToolCall(call_id="call_2", name="patch", arguments="*** Begin", kind="custom"),
    ]
    assert found[2].parts == [
        ToolResult(call_id="call_1", content=[Text(text="warm")]),
        ToolResult(call_id="call_2", content=[Text(text="done")]),
    ]


def test_every_kind_of_content_is_read() -> None:
    content = [
        {"type": "input_text", "text": "Compare", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "input_text", "text": "these", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "image_url": "https://a.example/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://a.example/a.pdf", "filename": "a.pdf"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "b.pdf"},
        {"type": "input_file", "file_id": "file_2"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "data:audio/mp3;base64,aGk=", "format": "mp3"}},
        {"type": "input_video", "video_url": "https://a.example/a.mp4"},
    ]
    assert parts_of({"role": "user", "content": content}) == [
        Text(text="Compare", cache=CacheMark("1h")),
        Text(text="these", cache=CacheMark()),
        Media(kind="image", url="https://a.example/a.png", detail="low"),
        Media(kind="image", media_type="image/png", data="aGk=", detail="auto"),
        Media(kind="image", file_id="file_1"),
        Media(kind="file", url="https://a.example/a.pdf", name="a.pdf"),
        Media(kind="document", media_type="application/pdf", data="aGk=", name="b.pdf"),
        Media(kind="file", file_id="file_2"),
        Media(kind="audio", media_type="audio/wav", data="aGk="),
        Media(kind="audio", media_type="audio/mp3", data="aGk="),
        Media(kind="video", url="https://a.example/a.mp4"),
    ]


def test_an_answer_keeps_its_citations_and_its_refusal() -> None:
    annotation = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    content = [
        {"type": "output_text", "text": "It", "annotations": [annotation]},
        {"type": "refusal", "refusal": "No"},
    ]
    text, refusal = parts_of({"role": "assistant", "content": content})
    assert isinstance(text, Text) and refusal == Refusal(text="No")
    (citation,) = text.citations
    assert (citation.url, citation.title, citation.start, citation.end) == ("https://a.example", "A", 0, 2)
    assert citation.raw is not None and json.loads(bytes(citation.raw)) == annotation


def test_a_message_without_content_is_a_turn_without_parts() -> None:
    assert messages_of({"role": "user", "content": None}, {"role": "user", "content": "Hi"})[0].parts == []


def test_an_image_that_was_generated_is_one_of_the_assistant() -> None:
    image = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": "aGk=",
        "output_format": "webp",
    }
    found = messages_of({"role": "user", "content": "Draw"}, image, {"type": "image_generation_call", "result": None})
    assert found[1].role == "assistant"
    assert found[1].parts == [Media(kind="image", media_type="image/webp", data="aGk=")]


@pytest.mark.parametrize(
    ("item", "role", "text"),
    [
        (
            {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "tides"}},
            "assistant",
            "[web_search_call]\ntides",
        ),
        ({"type": "code_interpreter_call", "code": "1+1", "outputs": [{"logs": "2"}]}, "assistant", None),
        ({"type": "local_shell_call_output", "id": "c", "output": "ok"}, "user", "[local_shell_call_output]\nok"),
        ({"type": "mcp_approval_response", "approve": True}, "user", None),
        (
            {"type": "agent_message", "author": "/root", "content": [{"type": "input_text", "text": "Done"}]},
            "user",
            "[agent_message]\nDone",
        ),
        ({"type": "compaction", "encrypted_content": "gAAAA"}, "assistant", None),
    ],
)
def test_items_that_the_router_does_not_know_are_kept_for_their_dialect(
    item: dict[str, Any], role: str, text: str | None
) -> None:
    first, found = messages_of({"role": "assistant" if role == "user" else "user", "content": "Hi"}, item)
    (part,) = found.parts
    assert isinstance(part, Opaque) and first.parts == [Text(text="Hi")]
    assert (found.role, part.dialect, json.loads(bytes(part.raw))) == (role, "openai_responses", item)
    if text is not None:
        assert part.text == text


def test_tools_that_an_item_adds_are_offered() -> None:
    tool = {"type": "function", "name": "tide", "parameters": None}
    body = HELLO | {
        "input": [{"role": "user", "content": "Hi"}, {"type": "additional_tools", "role": "user", "tools": [tool]}]
    }
    assert [one.name for one in Rendering(body).generation.tools] == ["tide"]


def test_reasoning_of_openai_goes_back_to_openai_alone() -> None:
    sent = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    (part,) = parts_of(sent)
    assert part == Reasoning(encrypted="gAAAA", item_id="rs_1", format="openai-responses-v1")
    (named,) = parts_of(sent | {"format": "xai-responses-v1", "signature": "s"})
    assert isinstance(named, Reasoning) and (named.format, named.signature) == ("xai-responses-v1", "s")


def test_of_a_damaged_token_only_the_text_is_left() -> None:
    content = [{"type": "reasoning_text", "text": "Let me "}, {"type": "reasoning_text", "text": "see"}]
    sent = {"type": "reasoning", "id": "rs_1", "summary": [], "content": content, "encrypted_content": f"{PREFIX}?"}
    assert parts_of(sent) == [Reasoning(text="Let me "), Reasoning(text="see")]


REFUSED: list[tuple[Any, str]] = [
    (None, "input is empty; send a string"),
    ("", "input is empty"),
    ([], "input is empty"),
    (7, "input is wrong"),
    ([{}], r"input\[0\] has neither type nor role"),
    (["hi"], r"input\[0\] is wrong"),
    ([{"role": "captain", "content": "Hi"}], r"input\[0\].role is wrong"),
    ([{"role": "user", "content": 7}], r"input\[0\].content is wrong"),
    ([{"role": "user", "content": [{"type": "output_image"}]}], r"input\[0\].content\[0\].type is wrong: .*input_text"),
    ([{"role": "user", "content": [{"type": "input_text"}]}], r"input\[0\].content\[0\] has no text"),
    ([{"role": "user", "content": [{"type": "input_image"}]}], r"content\[0\] has no image_url; send a URL"),
    ([{"role": "user", "content": [{"type": "input_file"}]}], r"content\[0\] is empty; send file_data"),
    ([{"role": "user", "content": [{"type": "refusal", "refusal": "No"}]}], "belongs to assistant messages"),
    ([{"type": "function_call", "name": "f"}], r"input\[0\] has no call_id"),
    ([{"type": "function_call_output", "call_id": "c", "output": [{"type": "refusal", "refusal": "No"}]}], "refusal"),
    ([{"type": "item_reference", "id": "msg_1"}], r"input\[0\] is a reference .*; send the item itself"),
    ([{"type": "additional_tools", "tools": []}], "input has no message"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_a_malformed_item_is_named_with_what_to_send(given: Any, sentence: str) -> None:
    error = refusal_of(HELLO | {"input": given})
    assert error.code == 400
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(error.message)


def test_too_many_items_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_service.api.skins.responses.items.MAX_ITEMS", 1)
    assert "send at most 1" in refusal_of(HELLO | {"input": [{"role": "user", "content": "a"}] * 2}).message
