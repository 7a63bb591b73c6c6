"""Test that any history becomes turns that Converse takes."""

from __future__ import annotations

import pytest

from router_service.core.errors import ApiError
from router_service.core.parts import CacheMark, Media, Reasoning, Text, ToolResult
from tests.router_service.providers.formats.asked import ask, assistant, call, function, results, turn, user
from tests.router_service.providers.formats.bedrock_converse.converse_world import (
    CLAUDE,
    CLAUDE_ORIGIN,
    LLAMA,
    NOVA,
    OLD,
    ORIGIN,
    body_of,
    encode,
    endpoint,
    result_block,
    turns_of,
    use,
)

PNG = "iVBORw0KGgo="
POINT = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}


def test_roles_alternate_and_the_user_is_first() -> None:
    """Join neighbours of one role, keep later system turns as text of the user, leave blank texts out."""
    found = turns_of(assistant("Ahoy."), user("One."), turn("system", "Two."), user(" \n", "Three.", name="Ann"))
    texts = [(one["role"], [block["text"] for block in one["content"]]) for one in found]
    assert texts == [("user", ["Begin."]), ("assistant", ["Ahoy."]), ("user", ["One.", "Two.", "Ann: Three."])]


def test_the_last_turn_is_the_users_where_the_model_does_not_go_on() -> None:
    """Continue a turn of the assistant by prefill where the model can, else by words."""
    begun = (user("Count."), assistant("One, "))
    assert turns_of(*begun, model=OLD)[-1] == {"role": "assistant", "content": [{"text": "One,"}]}
    for model in (LLAMA, NOVA, "us.anthropic.claude-opus-4-7"):
        assert turns_of(*begun, model=model)[-1]["content"][0]["text"].startswith("Continue your last message")


def test_results_follow_their_calls_with_fitted_ids() -> None:
    """Pair calls and results by the ids that they had, make what is missing, tell the rest as text."""
    long, odd = "c" * 80, "call:1/ä"
    history = (user("?"), assistant(call(long), call(odd), call("c3")), results(odd, long, "stray"), user("Go on."))
    _, asked, told = turns_of(*history)
    ids = [block["toolUse"]["toolUseId"] for block in asked["content"]]
    assert all(len(one) <= 64 and one.replace("_", "").replace("-", "").isalnum() for one in ids)
    first, second, missing, *rest = told["content"]
    assert (first, second) == (result_block(ids[1], odd), result_block(ids[0], long))
    assert missing == result_block(ids[2], "This call returned no result.")
    assert [block["text"] for block in rest] == ["Result of the earlier tool call stray:", "stray", "Go on."]


def test_calls_of_a_history_without_tools_are_offered() -> None:
    """Offer the tools that were called: the vendor refuses calls without them."""
    body = body_of(ask(user("?"), assistant(call("c1", "hoist")), results("c1")))
    assert body["toolConfig"] == {
        "tools": [{"toolSpec": {"name": "hoist", "inputSchema": {"json": {"type": "object"}}}}]
    }
    assert body["messages"][1]["content"] == [use("c1")]


def test_arguments_are_always_an_object() -> None:
    """Keep arguments as they are, and wrap what is no object."""
    found = turns_of(
        user("?"), assistant(call("a", arguments='{"x": 1}'), call("b", arguments="[1]"), call("c", arguments=""))
    )
    given = [block["toolUse"]["input"] for block in found[1]["content"]]
    assert given == [{"x": 1}, {"_invalid_arguments": "[1]"}, {}]


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
def test_failed_and_empty_results_have_content(model: str) -> None:
    """Say that a tool has failed in the status where the model has one, else in words."""
    failed = turn("tool", ToolResult(call_id="c1", is_error=True), ToolResult(call_id="c2"))
    found = turns_of(user("?"), assistant(call("c1"), call("c2")), failed, model=model)[-1]["content"]
    words = "The tool failed without a message."
    if model == LLAMA:
        assert found == [result_block("c1", "The tool failed:", words), result_block("c2", "(empty)")]
    else:
        assert found == [result_block("c1", words, status="error"), result_block("c2", "(empty)")]


def test_text_beside_results_is_joined_to_them_where_the_model_refuses_both() -> None:
    """Move text into the last result: most models refuse both in one turn."""
    history = (user("?"), assistant(call("c1")), results("c1"), user("And now?"))
    assert turns_of(*history, model=LLAMA)[-1]["content"] == [result_block("c1", "c1", "And now?")]
    assert turns_of(*history, model=CLAUDE)[-1]["content"] == [result_block("c1", "c1"), {"text": "And now?"}]


def test_signed_reasoning_goes_back_to_claude_alone() -> None:
    """Send a signature to the origin that made it, or to Claude by the name of its kind, of another platform too."""
    own = Reasoning(text="Look.", signature="s1", origin=CLAUDE_ORIGIN)
    named = Reasoning(text="Twice.", signature="s2", format="anthropic-claude-v1")
    elsewhere = Reasoning(text="Thrice.", signature="s5", format="anthropic-claude-v1", origin="anthropic_messages/a")
    hidden = Reasoning(encrypted="aGlkZGVu", origin=CLAUDE_ORIGIN)
    foreign = [
        Reasoning(text="No.", signature="s3", origin="gemini/google"),
        Reasoning(text="No.", signature="s4", origin=ORIGIN),
        Reasoning(text="No.", origin=CLAUDE_ORIGIN),
        Reasoning(text="No.", signature="s6", format="anthropic-claude-v1", origin=""),
    ]
    request = ask(user("?"), assistant(own, named, elsewhere, hidden, *foreign, "Yes."), user("Go on."))
    encoded = encode(request)
    content = body_of(request)["messages"][1]["content"]
    assert encoded.dropped == ("reasoning",)
    assert content == [
        {"reasoningContent": {"reasoningText": {"text": "Look.", "signature": "s1"}}},
        {"reasoningContent": {"reasoningText": {"text": "Twice.", "signature": "s2"}}},
        {"reasoningContent": {"reasoningText": {"text": "Thrice.", "signature": "s5"}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"text": "Yes."},
    ]
    assert turns_of(*request.messages, model=NOVA)[1]["content"] == [{"text": "Yes."}]


def test_reasoning_at_the_end_of_a_turn_is_left_out() -> None:
    """Drop the reasoning of an answer that was cut off, and the turn if nothing else is left of it."""
    cut = assistant(Reasoning(text="Look.", signature="s1", origin=CLAUDE_ORIGIN))
    assert turns_of(user("One."), cut, user("Two.")) == [
        {"role": "user", "content": [{"text": "One."}, {"text": "Two."}]}
    ]


def test_marks_stand_after_what_they_cache() -> None:
    """Keep the last four marks, those of an hour before those of five minutes."""

    def marked(text: str, ttl: str | None = None) -> Text:
        return Text(text=text, cache=CacheMark(ttl))

    tool = function(cache=CacheMark())
    texts = [marked("a"), marked("b", "1h"), marked("c"), marked("d")]
    request = ask(user(*texts), instructions=[turn("system", marked("s"))], tools=[tool])
    body = body_of(request)
    assert "cachePoint" not in str(body["toolConfig"]) and body["system"] == [{"text": "s"}]
    assert body["messages"][0]["content"] == [
        {"text": "a"}, HOUR, {"text": "b"}, HOUR, {"text": "c"}, POINT, {"text": "d"}, POINT,
    ]  # fmt: skip
    assert encode(request).dropped == ("cache_control",)
    assert encode(request, LLAMA).dropped == ("cache_control",) and "cachePoint" not in str(body_of(request, LLAMA))


def test_a_mark_within_a_result_stands_after_it() -> None:
    """Mark the block: results hold no marks of their own."""
    told = turn("tool", ToolResult(call_id="c1", content=[Text(text="ok", cache=CacheMark())]))
    found = turns_of(user("?"), assistant(call("c1")), told, user("Go on."))[-1]["content"]
    assert found == [result_block("c1", "ok"), POINT, {"text": "Go on."}]


def test_media_are_blocks_of_their_format() -> None:
    """Send images, documents, video and audio by their data or from S3, with names that differ."""
    parts = [
        Media(kind="image", data=PNG, media_type="image/jpeg"),
        Media(kind="document", data="JVBERi0=", name="Chart_of*the  bay.pdf"),
        Media(kind="document", data="YQ==", media_type="text/plain", name="Chart of the bay pdf"),
        Media(kind="video", url="s3://harbour/tide.mov"),
        Media(kind="audio", data="YQ==", media_type="audio/mpeg"),
    ]
    found = turns_of(user(*parts))[0]["content"]
    assert found == [
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "source": {"bytes": "JVBERi0="}, "name": "Chart of the bay pdf"}},
        {"document": {"format": "txt", "source": {"bytes": "YQ=="}, "name": "Chart of the bay pdf 2"}},
        {"video": {"format": "mov", "source": {"s3Location": {"uri": "s3://harbour/tide.mov"}}}},
        {"audio": {"format": "mp3", "source": {"bytes": "YQ=="}}},
        {"text": "Read the attached document."},
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Media(kind="image", data="YQ==", media_type="image/bmp"), "takes no image of type image/bmp; send one of png"),
        (Media(kind="file", data="YQ==", media_type="application/zip"), "takes no document of type application/zip"),
        (Media(kind="image", file_id="file-1"), "reads no files by their id"),
    ],
)
def test_media_that_it_does_not_read_are_refused(part: Media, words: str) -> None:
    """Say what to send instead."""
    with pytest.raises(ApiError, match=words) as raised:
        turns_of(user(part))
    assert raised.value.code == 400


def test_nothing_to_send_is_refused() -> None:
    """Refuse a conversation without content, but not instructions alone."""
    with pytest.raises(ApiError, match="All messages are empty"):
        turns_of(user(" "))
    body = body_of(ask(user(" "), instructions=[turn("system", "Say hello.")]))
    assert body["messages"] == [{"role": "user", "content": [{"text": "Begin."}]}]


def test_the_address_has_the_model_as_one_segment() -> None:
    """Encode colons and slashes of an ARN."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-7"
    url = encode(ask(stream=True), arn).request.url
    assert url == (
        f"{endpoint().base_url}/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
        "us.anthropic.claude-opus-4-7/converse-stream"
    )
