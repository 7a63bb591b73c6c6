"""Test what turns become: roles, pairs of calls and responses, signatures, media, names and empty parts."""

from __future__ import annotations

from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.generation import Message
from router_service.core.parts import CacheMark, Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from router_service.providers.formats.gemini.names import made_call_id
from router_service.providers.formats.gemini.turns import CONTINUE, NO_RESULT, OPENING
from tests.router_service.providers.formats.asked import ask, assistant, call, raw, results, turn, user
from tests.router_service.providers.formats.gemini.gemini_world import (
    DUMMY,
    ORIGIN,
    PNG,
    PRO,
    body_of,
    content,
    contents_of,
    encode,
    endpoint,
    response_part,
)

MADE = made_call_id("gen-1", 0)
IMAGE = Media(kind="image", media_type="image/png", data=PNG)
INLINE = {"inlineData": {"mimeType": "image/png", "data": PNG}}
IMAGE_MODEL = endpoint("gemini-3.1-flash-image-preview")


def sent(name: str = "hoist", args: Any = None, **fields: Any) -> dict[str, Any]:
    """Return a call as it is sent."""
    signature = fields.pop("signature", None)
    found: dict[str, Any] = {"functionCall": {"name": name, "args": args or {}} | fields}
    return found | ({"thoughtSignature": signature} if signature else {})


def test_neighbours_of_one_role_are_one_content() -> None:
    """Turns of the user, of tools and later ones of the system are the user's; names stand before the first text."""
    found = contents_of(
        user("Hi.", name="Ann"), turn("system", "Be kind."), assistant("Yes?"), assistant("So?"), user("Go.")
    )
    assert found == [content("user", "Ann: Hi.", "Be kind."), content("model", "Yes?", "So?"), content("user", "Go.")]
    assert contents_of(user(IMAGE, name="Ann")) == [content("user", INLINE)]


def test_a_conversation_begins_and_ends_with_the_user() -> None:
    """The vendor answers the user alone."""
    assert contents_of(assistant("Hello.")) == [
        content("user", OPENING), content("model", "Hello."), content("user", CONTINUE)
    ]  # fmt: skip
    only = body_of(ask(Message(role="user", parts=[Text()]), instructions=[turn("system", "Be brief.")]))
    assert only["contents"] == [content("user", OPENING)]
    with pytest.raises(ApiError, match="All messages are empty"):
        encode(ask(user("")))


def test_instructions_are_text_alone() -> None:
    """They are parts of their own; media among them are refused with a sentence."""
    found = body_of(ask(instructions=[turn("system", "Be brief."), turn("developer", "Be kind.")]))
    assert found["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    with pytest.raises(ApiError, match="System messages are text"):
        encode(ask(instructions=[turn("system", IMAGE)]))


def test_responses_follow_their_calls_in_the_order_of_the_calls() -> None:
    """Put what the user says besides after them."""
    calls = assistant("I look.", call("a", "find"), call("b", "hoist"))
    found = contents_of(user("Hi"), calls, results("b"), user("Well?"), results("a"))
    assert found[1:] == [
        content("model", "I look.", sent("find", signature=DUMMY), sent("hoist")),
        content("user", response_part("find", "a"), response_part("hoist", "b"), "Well?"),
    ]


def test_calls_without_response_and_responses_without_call() -> None:
    """A call gets a response that says so, and a response without a call is told."""
    missing = {"functionResponse": {"name": "hoist", "response": {"error": NO_RESULT}}}
    found = contents_of(user("Hi"), assistant(call("a")), user("Well?"), results("x"))
    assert found[2] == content("user", missing, "Well?", "Result of the earlier tool call x:\nx")
    assert contents_of(user("Hi"), assistant(call("a")))[-1] == content("user", missing)
    empty = Message(role="tool", parts=[ToolResult(call_id="x", content=[])])
    assert contents_of(empty) == [content("user", "Result of the earlier tool call x:\n(empty)")]


def test_results_say_errors_and_show_media() -> None:
    """Media stand after the responses, with words that say whose they are."""
    shown = ToolResult(call_id="a", content=[Text(text="A chart:"), IMAGE, IMAGE])
    failed = ToolResult(call_id="b", content=[], is_error=True)
    found = contents_of(user("Hi"), assistant(call("a"), call("b")), Message(role="tool", parts=[shown, failed]))
    assert found[2] == content(
        "user",
        response_part("hoist", "A chart:"),
        {"functionResponse": {"name": "hoist", "response": {"error": "The tool failed without a message."}}},
        "Attached to the result of hoist:",
        INLINE,
        INLINE,
    )


@pytest.mark.parametrize("text", ["", " ", "{}"])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert contents_of(user("x"), assistant(call(arguments=text)))[1]["parts"][0]["functionCall"]["args"] == {}


@pytest.mark.parametrize("text", ["[1]", "{", "7", "\ud800"])
def test_arguments_that_are_no_object_are_kept_as_text(text: str) -> None:
    """The vendor takes an object alone."""
    if text == "\ud800":
        text = "no json"
    found = contents_of(user("x"), assistant(call(arguments=text)))[1]["parts"][0]["functionCall"]["args"]
    assert found == {"_invalid_arguments": text}


def test_hosted_calls_and_refusals_are_text() -> None:
    parts = assistant(ToolCall(name="search", arguments="{}", kind="hosted"), Refusal(text="No."))
    assert contents_of(user("x"), parts, user("y"))[1] == content("model", "search({})", "No.")


def test_signatures_return_to_their_origin_alone() -> None:
    """A call of another origin gets the signature that the vendor documents for it, once in a turn."""
    own = assistant(call("fc-1", signature="c2ln", origin=ORIGIN), call("fc-2", origin=ORIGIN))
    found = contents_of(user("x"), own, results("fc-1", "fc-2"))
    assert found[1] == content("model", sent(signature="c2ln", id="fc-1"), sent(id="fc-2"))
    assert found[2] == content(
        "user", response_part("hoist", "fc-1", id="fc-1"), response_part("hoist", "fc-2", id="fc-2")
    )
    for origin in (None, "gemini/google-vertex", "anthropic_messages/anthropic"):
        foreign = assistant(call("fc-1", signature="c2ln", origin=origin), call("fc-2", origin=origin))
        encoded = encode(ask(user("x"), foreign, results("fc-1", "fc-2")))
        assert encoded.dropped == ("reasoning",)
        assert contents_of(user("x"), foreign)[1] == content("model", sent(signature=DUMMY), sent())
        # Models before Gemini 3 need none.
        assert contents_of(user("x"), foreign, at=endpoint(PRO))[1] == content("model", sent(), sent())


def test_ids_that_the_router_has_made_are_not_sent() -> None:
    """The vendor has never seen them; responses are paired by their order."""
    made = assistant(call(MADE, signature="c2ln", origin=ORIGIN))
    found = contents_of(user("x"), made, results(MADE))
    assert found[1:] == [content("model", sent(signature="c2ln")), content("user", response_part("hoist", MADE))]


def sealed(signature: str = "c2ln", **fields: Any) -> Reasoning:
    """Return the signature of a part."""
    return Reasoning(encrypted=signature, format="google-gemini-v1", **fields)


@pytest.mark.parametrize("origin", [None, ORIGIN])
def test_signatures_of_texts_find_their_text(origin: str | None) -> None:
    """They stand after their text, or before it where a client keeps reasoning apart, or alone."""
    seal = sealed(origin=origin)
    signed = {"text": "High.", "thoughtSignature": "c2ln"}
    assert contents_of(user("x"), assistant("High.", seal), user("y"))[1] == content("model", signed)
    assert contents_of(user("x"), assistant(seal, "High."), user("y"))[1] == content("model", signed)
    alone = {"text": "", "thoughtSignature": "c2ln"}
    found = contents_of(user("x"), assistant(seal, call("a", signature="b", origin=ORIGIN)), results("a"))
    assert found[1]["parts"][0] == alone
    two = contents_of(user("x"), assistant(seal, sealed("Yg=="), "High."), user("y"))[1]
    assert two == content("model", signed, {"text": "", "thoughtSignature": "Yg=="})


def test_a_signature_on_a_text_part_itself_is_sent() -> None:
    """Parts of a client API that can sign any part keep theirs, and an empty one is kept for it."""
    found = contents_of(user("x"), assistant(Text(text="High.", signature="c2ln", origin=ORIGIN)), user("y"))
    assert found[1] == content("model", {"text": "High.", "thoughtSignature": "c2ln"})
    found = contents_of(user("x"), assistant(Text(signature="c2ln", origin=ORIGIN)), user("y"))
    assert found[1] == content("model", {"text": "", "thoughtSignature": "c2ln"})


def test_thoughts_return_to_their_origin_alone() -> None:
    """Reasoning of others is left out, and reported."""
    own = assistant(Reasoning(text="Look.", signature="c2ln", origin=ORIGIN), "High.")
    thought = {"text": "Look.", "thought": True}
    found = encode(ask(user("x"), own, user("y")))
    assert found.dropped == ()
    assert contents_of(user("x"), own, user("y"))[1] == content(
        "model", thought | {"thoughtSignature": "c2ln"}, "High."
    )
    empty = assistant(Reasoning(signature="c2ln", origin=ORIGIN), "High.")
    assert contents_of(user("x"), empty, user("y"))[1] == content(
        "model", {"text": "High.", "thoughtSignature": "c2ln"}
    )
    for part in (Reasoning(text="Look."), Reasoning(text="Look.", format="anthropic-claude-v1", signature="x")):
        encoded = encode(ask(user("x"), assistant(part, "High."), user("y")))
        assert encoded.dropped == ("reasoning",) and b"Look" not in encoded.request.body


def test_images_of_the_model_go_to_models_that_make_images() -> None:
    """Others get what was said of them, and a report."""
    drawn = assistant("Here:", IMAGE, sealed(origin=ORIGIN))
    found = contents_of(user("Draw."), drawn, user("Again."), at=IMAGE_MODEL)
    assert found[1] == content("model", "Here:", INLINE | {"thoughtSignature": "c2ln"})
    encoded = encode(ask(user("Draw."), assistant("Here:", IMAGE), user("Again.")))
    assert encoded.dropped == ("media",) and PNG.encode() not in encoded.request.body
    spoken = Media(kind="audio", data="AAAA", transcript="Ahoy.")
    assert contents_of(user("x"), assistant(spoken), user("y"))[1] == content("model", "Ahoy.")


def test_parts_that_only_this_dialect_has() -> None:
    """They return to their origin, and their text stands for them elsewhere."""
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    own = Opaque(dialect="gemini", raw=raw(code), text="run(1)", origin=ORIGIN)
    assert contents_of(user("x"), assistant(own), user("y"))[1] == content("model", code)
    assert contents_of(user("x", Opaque(dialect="gemini", raw=raw(INLINE)))) == [content("user", "x", INLINE)]
    for foreign in (
        Opaque(dialect="gemini", raw=raw(code), text="run(1)", origin="gemini/google-vertex"),
        Opaque(dialect="openai_responses", raw=raw(code), text="run(1)"),
        Opaque(dialect="gemini", raw=raw([1]), text="run(1)"),
    ):
        assert contents_of(user("x"), assistant(foreign), user("y"))[1] == content("model", "run(1)")
        assert contents_of(user(foreign)) == [content("user", "run(1)")]
    nothing = Opaque(dialect="openai_responses", raw=raw({}))
    assert contents_of(user("x"), assistant(nothing), user(nothing)) == [content("user", "x")]


def test_cache_marks_are_reported() -> None:
    """The vendor caches what prompts have in common without being asked to."""
    mark = CacheMark()
    marked = [
        ask(user(Text(text="x", cache=mark))),
        ask(user("x"), assistant(Text(text="y", cache=mark)), user("z")),
        ask(user("x"), assistant(call("a")), Message(role="tool", parts=[ToolResult(call_id="a", cache=mark)])),
        ask(cache=mark),
    ]
    assert [encode(one).dropped for one in marked] == [("cache_control",)] * 4


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (Media(kind="image", media_type="image/jpg", data="AAAA"), ("inlineData", "image/jpeg")),
        (Media(kind="image", media_type="image/png", data="/9j/AAAA"), ("inlineData", "image/jpeg")),
        (Media(kind="audio", media_type="audio/mpeg", data="AAAA"), ("inlineData", "audio/mp3")),
        (Media(kind="document", name="log.csv", data="AAAA"), ("inlineData", "text/csv")),
        (Media(kind="file", media_type="application/json", data="e30="), ("inlineData", "text/plain")),
        (Media(kind="file", data="AAAA"), ("inlineData", "application/pdf")),
        (Media(kind="video", url="https://harbour.example/a.webm?x=1"), ("fileData", "video/webm")),
        (Media(kind="video", file_id="files/68a1", media_type="video/mp4"), ("fileData", "video/mp4")),
        (Media(kind="image", url="https://harbour.example/a"), ("fileData", "image/png")),
    ],
)
def test_media_have_the_types_that_the_vendor_reads(part: Media, wanted: tuple[str, str]) -> None:
    (found,) = contents_of(user(part))[0]["parts"]
    assert found[wanted[0]]["mimeType"] == wanted[1]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            Media(kind="image", media_type="image/gif", data="R0lGODAA"),
            "takes no images of type image/gif; send one of",
        ),
        (
            Media(kind="file", media_type="application/zip", data="AAAA"),
            "takes no files of type application/zip; send PDF",
        ),
    ],
)
def test_media_that_the_vendor_does_not_read_are_refused(part: Media, words: str) -> None:
    with pytest.raises(ApiError, match=words) as raised:
        encode(ask(user(part)))
    assert raised.value.code == 400
