"""Turns are fitted to the vendor: roles alternate, nothing is empty, and results follow their calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Message, ReasoningOptions
from router_service.core.parts import CacheMark, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    ORIGIN,
    PNG,
    SIGNED,
    ask,
    assistant,
    blocks_of,
    body_of,
    call,
    encode,
    endpoint,
    function,
    raw,
    result,
    text,
    turns_of,
    user,
)

REDACTED = Reasoning(encrypted="ZGF0YQ==", format="anthropic-claude-v1")


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\t \r\n", "\u00a0\u2003"])
@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_blank_text_is_dropped_anywhere(blank: str, role: Any) -> None:
    """Text that is blank is sent in no turn, nor is a turn that has nothing else."""
    only = Message(role=role, parts=[Text(text=blank)])
    beside = Message(role=role, parts=[Text(text=blank), Text(text="Here."), Text(text=blank)])
    assert turns_of(user("One."), only, user("Two.")) == [{"role": "user", "content": [text("One."), text("Two.")]}]
    found = turns_of(user("One."), beside, user("Two."))
    assert [block["text"] for turn in found for block in turn["content"]] == ["One.", "Here.", "Two."]


def test_blank_instructions_are_dropped() -> None:
    """Instructions without text make no system blocks."""
    instructions = [Message(role="system", parts=[Text(text=" ")]), Message(role="developer", parts=[])]
    assert "system" not in body_of(ask(instructions=instructions))


def test_blank_text_in_a_tool_result_is_dropped() -> None:
    """A result whose texts are blank has no content."""
    found = turns_of(user("?"), assistant(call()), result("call_1", " "))
    assert found[2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1"}]


def test_a_blank_refusal_and_a_blank_fallback_are_dropped() -> None:
    """Refusals and the texts of foreign parts are texts as well."""
    foreign = Opaque(dialect="other", raw=raw({"type": "x"}), text="  ")
    assert turns_of(user("One."), assistant(), Message(role="assistant", parts=[Refusal(text=""), foreign]), user("2"))
    assert blocks_of(assistant(Refusal(text="I will not."))) == [text("I will not.")]


def test_a_mark_on_blank_text_moves_to_the_block_before() -> None:
    """Keep what a mark on dropped text asks for."""
    blank = Text(text="", cache=CacheMark())
    found = turns_of(user("One.", blank))[0]["content"]
    assert found == [text("One.") | {"cache_control": {"type": "ephemeral"}}]


@pytest.mark.parametrize("messages", [[], [user("")], [assistant(" "), user("\n")], [user(Text(text=""))]])
def test_a_conversation_without_content_is_refused(messages: list[Message]) -> None:
    """A request that says nothing is refused with a sentence."""
    with pytest.raises(ApiError, match="All messages are empty; send at least one message") as raised:
        encode(GenerationRequest(messages=messages))
    assert raised.value.code == 400


def test_instructions_alone_are_a_conversation() -> None:
    """Instructions without a turn get an opening, since the vendor wants a user turn."""
    body = body_of(GenerationRequest(instructions=[Message(role="system", parts=[Text(text="Say hello.")])]))
    assert body["system"] == [text("Say hello.")]
    assert body["messages"] == [{"role": "user", "content": [text("Begin.")]}]


def test_a_conversation_that_the_assistant_begins_gets_an_opening() -> None:
    """The first turn is the user's."""
    found = turns_of(assistant("Welcome."), user("Hello!"))
    assert [turn["role"] for turn in found] == ["user", "assistant", "user"]


def test_neighbours_of_one_role_are_joined_across_a_dropped_turn() -> None:
    """Turns that meet because the one between them is empty become one."""
    found = turns_of(user("One."), assistant(""), result("gone", "x"), user("Two."))
    assert [turn["role"] for turn in found] == ["user"]
    assert found[0]["content"][0] == text("One.")
    assert found[0]["content"][-1] == text("Two.")


def test_the_end_of_a_prefilled_turn_is_trimmed() -> None:
    """The vendor refuses trailing white space in a last turn of the assistant, and in no other."""
    found = turns_of(user("One."), assistant("Two. \n"), user("Three."), assistant("Four. \n"))
    assert [turn["content"][0]["text"] for turn in found] == ["One.", "Two. \n", "Three.", "Four."]


def test_a_model_without_prefill_is_asked_to_continue() -> None:
    """Models since Claude 4.6 refuse a last turn of the assistant, so the user asks to go on."""
    found = body_of(ask(user("One."), assistant("Tw")), endpoint("claude-opus-4-6"))["messages"]
    assert [turn["role"] for turn in found] == ["user", "assistant", "user"]
    assert "Continue your last message" in found[2]["content"][0]["text"]


def test_system_turns_stay_in_place_with_their_marks() -> None:
    """Instructions are system blocks; a later system turn is a user turn with its text."""
    instructions = [
        Message(role="system", parts=[Text(text="A", cache=CacheMark(ttl="1h"))]),
        Message(role="developer", parts=[Text(text="B")]),
    ]
    later = Message(role="developer", parts=[Text(text="C")])
    body = body_of(ask(user("One."), assistant("Two."), later, instructions=instructions))
    assert body["system"] == [text("A") | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, text("B")]
    assert body["messages"][-1] == {"role": "user", "content": [text("C")]}


def test_media_in_instructions_are_refused() -> None:
    """The system field has text alone."""
    image = Message(role="system", parts=[Media(kind="image", url="https://x.test/a.png")])
    with pytest.raises(ApiError, match="move images and files to a user message"):
        encode(ask(instructions=[image]))


def test_names_of_speakers_are_written_before_their_text() -> None:
    """The format has no field for a speaker's name, so it precedes the text as the reference has it."""
    named = Message(role="user", name="Ada", parts=[Text(text="Hello!")])
    assert turns_of(named)[0]["content"] == [text("Ada: Hello!")]
    silent = Message(role="user", name="Ada", parts=[Media(kind="image", url="https://x.test/a.png")])
    assert turns_of(silent)[0]["content"][0]["type"] == "image"


def test_the_order_of_an_assistant_turn_is_kept() -> None:
    """Thinking, text, hosted calls and calls go back in the order in which they were written."""
    hosted = Opaque(dialect="anthropic_messages", raw=raw({"type": "server_tool_use", "id": "s1", "name": "w"}))
    found = Opaque(dialect="anthropic_messages", raw=raw({"type": "web_search_tool_result", "tool_use_id": "s1"}))
    turns = turns_of(
        user("?"), assistant(SIGNED, "One.", hosted, found, REDACTED, "Two.", call()), result("call_1"), user("Go on.")
    )
    assert [block["type"] for block in turns[1]["content"]] == [
        "thinking", "text", "server_tool_use", "web_search_tool_result", "redacted_thinking", "text", "tool_use"
    ]  # fmt: skip
    assert turns[1]["content"][0] == {"type": "thinking", "thinking": "Greets.", "signature": "c2ln"}
    assert turns[1]["content"][4] == {"type": "redacted_thinking", "data": "ZGF0YQ=="}


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        (Reasoning(text="a", signature="s", origin="anthropic_messages"), True),
        (Reasoning(text="a", signature="s", origin=ORIGIN), True),
        (Reasoning(text="a", signature="s", origin=f"{ORIGIN}/account"), True),
        (Reasoning(text="a", signature="s", format="anthropic-claude-v1"), True),
        (Reasoning(encrypted="d", format="anthropic-claude-v1"), True),
        (Reasoning(text="", signature="s", origin=ORIGIN), True),
        (Reasoning(text="a", signature="s", format="anthropic-claude-v1", origin="bedrock_converse/aws/claude"), True),
        (Reasoning(text="a", signature="s"), False),
        (Reasoning(text="a", signature="s", format="google-gemini-v1"), False),
        (Reasoning(text="a", signature="s", origin="openai_responses"), False),
        (Reasoning(text="a", signature="s", origin="anthropic_messages/minimax"), False),
        (Reasoning(text="a", signature="s", format="anthropic-claude-v1", origin=""), False),
        (Reasoning(text="a", origin=ORIGIN), False),
        (Reasoning(text="a", summary=True, format="openai-responses-v1"), False),
    ],
)
def test_reasoning_goes_back_to_its_origin_alone(part: Reasoning, kept: bool) -> None:
    """Signed and redacted thinking of this format is kept, any other reasoning is dropped and reported."""
    request = ask(user("?"), assistant(part, "Yes."), user("Go on."))
    kinds = [block["type"] for block in body_of(request)["messages"][1]["content"]]
    assert (len(kinds) == 2) is kept
    assert ("reasoning" in encode(request).dropped) is not kept


def test_an_imitator_gets_its_own_signatures_back() -> None:
    """The signatures of one provider of this format are no use at another."""
    part = Reasoning(text="a", signature="s", origin="anthropic_messages/minimax")
    request = ask(user("?"), assistant(part, "Yes."), user("Go on."))
    turn = body_of(request, endpoint("MiniMax-M2", "minimax"))["messages"][1]
    assert [block["type"] for block in turn["content"]] == ["thinking", "text"]


@pytest.mark.parametrize(
    "part",
    [
        Reasoning(text="a", signature="s", format="anthropic-claude-v1"),
        Reasoning(encrypted="d", format="anthropic-claude-v1"),
    ],
)
def test_an_imitator_gets_no_signature_of_the_vendor(part: Reasoning) -> None:
    """A token without an origin is of the kind that its format names, and imitators make another."""
    request = ask(user("?"), assistant(part, "Yes."), user("Go on."))
    assert body_of(request, endpoint("MiniMax-M2", "minimax"))["messages"][1]["content"] == [text("Yes.")]
    assert encode(request, endpoint("MiniMax-M2", "minimax")).dropped == ("reasoning",)


def test_an_imitator_gets_the_text_of_a_search_by_the_vendor() -> None:
    """Its results are encrypted for the vendor, and the blocks do not say whose they are."""
    called = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}}
    page = {"type": "web_search_result", "title": "Tides", "url": "https://a/b", "encrypted_content": "c2ln"}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}
    cited = {"type": "web_search_result_location", "url": "https://a/b", "encrypted_index": "c2ln"}
    quoted = {"type": "char_location", "cited_text": "noon", "document_index": 0}
    citations = [Citation(dialect="anthropic_messages", raw=raw(one)) for one in (cited, quoted)]
    parts = [
        Opaque(dialect="anthropic_messages", raw=raw(called), text='web_search({"query":"tide"})'),
        Opaque(dialect="anthropic_messages", raw=raw(found), text="Tides"),
        Text(text="At noon.", citations=citations),
    ]
    request = ask(user("?"), assistant(*parts), user("Go on."))
    own = body_of(request)["messages"][1]["content"]
    assert own == [called, found, text("At noon.") | {"citations": [cited, quoted]}]
    other = body_of(request, endpoint("MiniMax-M2", "minimax"))["messages"][1]["content"]
    assert other == [text('web_search({"query":"tide"})'), text("Tides"), text("At noon.") | {"citations": [quoted]}]


def test_thinking_at_the_end_of_a_turn_is_dropped() -> None:
    """The vendor refuses a turn that ends in thinking, as of an answer that was cut off."""
    request = ask(user("?"), assistant("Hm.", SIGNED, REDACTED), user("Go on."), assistant(SIGNED), user("And?"))
    assert body_of(request)["messages"][1]["content"] == [text("Hm.")]
    assert [turn["role"] for turn in body_of(request)["messages"]] == ["user", "assistant", "user"]
    assert encode(request).dropped == ("reasoning",)


def test_opaque_parts_go_back_to_their_dialect_alone() -> None:
    """Elsewhere their text stands for them."""
    own = {"type": "container_upload", "file_id": "f"}
    assert blocks_of(assistant(Opaque(dialect="anthropic_messages", raw=raw(own)))) == [own]
    assert blocks_of(assistant(Opaque(dialect="openai_responses", raw=raw({"type": "x"}), text="Found."))) == [
        text("Found.")
    ]
    foreign = Opaque(dialect="anthropic_messages", raw=raw(own), text="Up.", origin="anthropic_messages/minimax")
    assert blocks_of(assistant(foreign)) == [text("Up.")]
    for odd in (raw(["no object"]), raw({"no": "type"})):
        assert blocks_of(assistant(Opaque(dialect="anthropic_messages", raw=odd, text="Odd."))) == [text("Odd.")]


def test_citations_of_this_dialect_go_back() -> None:
    """Citations return as they were written; those of other dialects have no field here."""
    own = {"type": "char_location", "cited_text": "x", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
    cited = Text(
        text="18 C",
        citations=[
            Citation(dialect="anthropic_messages", raw=raw(own)),
            Citation(url="https://x.test/", dialect="chat"),
        ],
    )
    assert blocks_of(assistant(cited)) == [text("18 C") | {"citations": [own]}]
    assert blocks_of(assistant(Text(text="18 C", citations=[Citation(url="https://x.test/")]))) == [text("18 C")]


def test_media_of_an_assistant_turn() -> None:
    """Assistant turns have no media: a transcript stands for speech, and an image is dropped and reported."""
    spoken = Media(kind="audio", data="UklGRg==", transcript="Hello.")
    assert blocks_of(assistant(spoken)) == [text("Hello.")]
    request = ask(user("?"), assistant(Media(kind="image", data=PNG), "Look."), user("Go on."))
    assert body_of(request)["messages"][1]["content"] == [text("Look.")]
    assert encode(request).dropped == ("media",)


def test_fields_that_only_this_dialect_has_go_back_to_it() -> None:
    """The caller of a call and the title of a document are sent to this format, at their origin."""
    document = Media(
        kind="document", url="https://x.test/a.pdf", extras={"anthropic_messages": {"title": "A"}, "other": {"b": 1}}
    )
    assert turns_of(user(document))[0]["content"][0]["title"] == "A"
    caller = {"anthropic_messages": {"caller": {"type": "direct"}}}
    for origin, sent in ((ORIGIN, True), ("anthropic_messages/minimax", False)):
        part = ToolCall(call_id="c", name="get_weather", arguments="{}", origin=origin, extras=caller)
        assert ("caller" in turns_of(user("?"), assistant(part), result("c"))[1]["content"][0]) is sent


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Media(kind="image", data=PNG), {"type": "base64", "media_type": "image/png", "data": PNG}),
        (
            Media(kind="image", data="/9j/4AAQ", media_type="image/jpg"),
            {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"},
        ),
        (
            Media(kind="file", data="UklGRhoA", media_type="image/png"),
            {"type": "base64", "media_type": "image/webp", "data": "UklGRhoA"},
        ),
        (Media(kind="file", url="https://x.test/b.pdf"), {"type": "url", "url": "https://x.test/b.pdf"}),
        (Media(kind="document", data="AAAA"), {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}),
        (
            Media(kind="document", data="YSxi", media_type="text/csv; charset=utf-8"),
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
        ),
        (Media(kind="file", file_id="file_1"), {"type": "file", "file_id": "file_1"}),
    ],
)
def test_media_sources(part: Media, block: dict[str, Any]) -> None:
    """Images and documents are sent by address, by file or inline, with the type that their bytes have."""
    assert turns_of(user(part))[0]["content"][0]["source"] == block


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Media(kind="video", url="https://x.test/a.mp4"), "takes no video input"),
        (Media(kind="image", data="PHN2Zz4=", media_type="image/svg+xml"), "no images of type image/svg"),
        (Media(kind="image", data="AAAA"), "no images of type unknown"),
        (Media(kind="file", data="AAAA", media_type="application/zip"), "no files of type application/zip"),
        (Media(kind="file", data="//79", media_type="text/plain", name="a.txt"), "a.txt is no base64 of text"),
        (Media(kind="file", data="?", media_type="text/plain"), "is no base64 of text"),
    ],
)
def test_media_that_the_format_cannot_carry_are_refused(part: Media, sentence: str) -> None:
    """A medium that would be refused by the vendor is refused with a sentence."""
    with pytest.raises(ApiError, match=sentence) as raised:
        turns_of(user(part))
    assert raised.value.code == 400


texts = st.sampled_from(["", " ", "a", "b \n"])
ids = st.sampled_from(["", "1", "x.y", "x:y"])
parts = st.one_of(
    st.builds(lambda value: Text(text=value), texts),
    st.builds(lambda value: call(value), ids),
    st.just(SIGNED),
    st.just(REDACTED),
    st.builds(
        lambda value, kind: Opaque(
            dialect="anthropic_messages", raw=raw({"type": kind, "id": value, "tool_use_id": value})
        ),
        ids,
        st.sampled_from(["server_tool_use", "web_search_tool_result"]),
    ),
)
spoken = st.builds(lambda found: assistant(*found), st.lists(parts, max_size=4))
asked = st.builds(lambda value: user(value), texts)
answered = st.builds(lambda found: result(found), ids)


@given(st.lists(st.one_of(spoken, asked, answered), max_size=8), st.booleans(), st.sampled_from(["4-5", "4-7", "5-5"]))
def test_any_history_becomes_turns_that_the_vendor_takes(history: list[Message], thinks: bool, version: str) -> None:
    """Whatever a conversation has been through, its turns keep all rules of the vendor."""
    reasoning = ReasoningOptions(effort="low") if thinks else None
    request = ask(user("?"), *history, reasoning=reasoning, tools=[function()])
    body = json.loads(encode(request, endpoint(f"claude-opus-{version}")).request.body)
    check_turns(body["messages"])
    if version != "4-5":
        assert body["messages"][-1]["role"] == "user" or "server_tool_use" in str(body["messages"][-1])


def check_turns(turns: list[dict[str, Any]]) -> None:
    """Assert the vendor's rules of turns."""
    seen: set[str] = set()
    assert turns[0]["role"] == "user"
    for turn, following in zip(turns, [*turns[1:], {"content": []}], strict=True):
        assert turn["content"]
        assert turn["role"] != following.get("role")
        assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")
        called = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        results = [b.get("tool_use_id") for b in following["content"][: len(called)] if b["type"] == "tool_result"]
        assert sorted(called) == sorted(map(str, results))
        assert not seen & set(called)
        seen |= set(called)
        if turn["role"] == "assistant":
            assert turn["content"][-1]["type"] not in ("thinking", "redacted_thinking")


def test_a_citation_that_is_no_object_is_not_taken_for_a_search() -> None:
    cited = Citation(dialect="anthropic_messages", raw=raw("page 3"))
    request = ask(user("?"), assistant(Text(text="At noon.", citations=[cited])), user("Go on."))
    found = body_of(request, endpoint("MiniMax-M2", "minimax"))["messages"][1]["content"]
    assert found == [text("At noon.") | {"citations": ["page 3"]}]
