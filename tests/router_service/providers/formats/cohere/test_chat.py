"""Test how Cohere's chat is written and read, and that its streams keep the grammar."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue import load_catalogue
from router_service.core.errors import ApiError
from router_service.core.events import Ended, Failed, fold
from router_service.core.generation import GenerationRequest, Message, OutputFormat, Sampling, Tool, ToolChoice
from router_service.core.parts import AnyPart, CacheMark, Media, Reasoning, Text, ToolCall, ToolResult
from router_service.core.usage import Usage
from router_service.providers.formats.cohere.format import CohereFormat
from router_service.providers.formats.cohere.names import origin_at
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.decoded_streams import check_grammar, decode_stream

FORMAT = CohereFormat()
ENDPOINT = next(e for e in load_catalogue().endpoints["cohere/command-a"] if e.provider == "cohere")
THINKING = msgspec.structs.replace(ENDPOINT, upstream_model="command-a-reasoning-08-2025")
CONTEXT = DecodeContext(generation_id="gen-1", origin="o", tool_names={"a_b": "a b"}, custom_tools=frozenset({"note"}))
USAGE = {
    "billed_units": {"input_tokens": 7, "output_tokens": 5},
    "tokens": {"input_tokens": 99, "output_tokens": 5},
    "cached_tokens": 3,
}
CITATION = {
    "start": 0,
    "end": 4,
    "text": "High",
    "type": "TEXT_CONTENT",
    "content_index": 1,
    "sources": [
        {"type": "document", "id": "doc-0", "document": {"title": "Tides", "text": "At six.", "url": "http://a"}}
    ],
}
CALLS = [
    {"id": "a_1", "type": "function", "function": {"name": "a_b", "arguments": '{"x":1}'}},
    {"id": "n_2", "type": "function", "function": {"name": "note", "arguments": '{"input":"hi"}'}},
]
TEXT_ANSWER = {
    "id": "c1",
    "finish_reason": "COMPLETE",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "High tide."}],
        "citations": [CITATION],
    },
    "usage": USAGE,
}
CALL_ANSWER = {
    "id": "c2",
    "finish_reason": "TOOL_CALL",
    "message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": CALLS},
    "usage": USAGE,
}


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events)


def delta(kind: str, index: int, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": message}}


TEXT_STREAM = sse(
    {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}},
    delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
    delta("content-delta", 0, content={"thinking": "Hm."}),
    {"type": "content-end", "index": 0},
    delta("content-start", 1, content={"type": "text", "text": ""}),
    delta("content-delta", 1, content={"text": "High"}),
    delta("content-delta", 1, content={"text": " tide."}),
    {"type": "content-end", "index": 1},
    delta("citation-start", 0, citations=CITATION),
    {"type": "citation-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}},
)
CALL_STREAM = sse(
    {"type": "message-start", "id": "c2", "delta": {"message": {"role": "assistant"}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I "}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "look."}}},
    delta("tool-call-start", 0, tool_calls=CALLS[0] | {"function": {"name": "a_b", "arguments": ""}}),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"x"'}}),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": ":1}"}}),
    {"type": "tool-call-end", "index": 0},
    delta("tool-call-start", 1, tool_calls=CALLS[1] | {"function": {"name": "note", "arguments": '{"inp'}}),
    delta("tool-call-delta", 1, tool_calls={"function": {"arguments": 'ut":"hi"}'}}),
    {"type": "tool-call-end", "index": 1},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
)
STREAMS = {"text": (TEXT_STREAM, TEXT_ANSWER), "calls": (CALL_STREAM, CALL_ANSWER)}
names = st.sampled_from(sorted(STREAMS))


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_stream_says_what_the_whole_answer_says(name: str) -> None:
    stream, answer = STREAMS[name]
    streamed, whole = (
        fold(decode_stream(FORMAT, [stream], CONTEXT)),
        fold(FORMAT.decode(json.dumps(answer).encode(), CONTEXT)),
    )
    assert (streamed.began, streamed.choices, streamed.usage) == (whole.began, whole.choices, whole.usage)


def test_parts_usage_and_reason_are_read() -> None:
    found = fold(FORMAT.decode(json.dumps(TEXT_ANSWER).encode(), CONTEXT))
    thought, text = found.choices[0].parts
    assert isinstance(thought, Reasoning) and (thought.text, thought.origin) == ("Hm.", "o")
    assert isinstance(text, Text) and text.text == "High tide."
    cited = text.citations[0]
    assert (cited.url, cited.title, cited.cited_text, cited.start, cited.end) == ("http://a", "Tides", "At six.", 0, 4)
    assert found.usage == Usage(7, 5, cached_tokens=3)
    assert found.choices[0].finished is not None and found.choices[0].finished.reason == "stop"


def test_calls_have_the_clients_names_and_arguments() -> None:
    found = fold(decode_stream(FORMAT, [CALL_STREAM], CONTEXT)).choices[0]
    plan, call, custom = found.parts
    assert isinstance(plan, Reasoning) and plan.text == "I look."
    assert isinstance(call, ToolCall) and (call.name, call.arguments, call.call_id) == ("a b", '{"x":1}', "a_1")
    assert isinstance(custom, ToolCall) and (custom.kind, custom.arguments) == ("custom", "hi")
    assert found.finished is not None and found.finished.reason == "tool_calls"


@given(names, st.data())
def test_a_stream_cut_at_any_byte_keeps_the_grammar(name: str, data: st.DataObject) -> None:
    stream = STREAMS[name][0]
    end = data.draw(st.integers(0, len(stream)))
    events = decode_stream(FORMAT, [stream[:end]], CONTEXT)
    check_grammar(events)
    if isinstance(events[-1], Ended):
        assert b"message-end" in stream[:end]


@given(names, st.data())
def test_a_stream_without_some_of_its_events_keeps_the_grammar(name: str, data: st.DataObject) -> None:
    found = STREAMS[name][0].split(b"\n\n")
    picked = data.draw(st.lists(st.sampled_from(found), max_size=2 * len(found)))
    check_grammar(decode_stream(FORMAT, [b"\n\n".join([*picked, b""])], CONTEXT))


@given(names, st.integers(1, 300))
def test_pieces_of_any_size_make_the_same_answer(name: str, size: int) -> None:
    stream = STREAMS[name][0]
    cut = decode_stream(FORMAT, [stream[at : at + size] for at in range(0, len(stream), size)], CONTEXT)
    assert cut == decode_stream(FORMAT, [stream], CONTEXT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KINDS = ("message-start", "content-start", "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta",
         "citation-start", "message-end", "debug")  # fmt: skip
FIELDS = st.sampled_from(["content", "tool_plan", "tool_calls", "citations", "finish_reason", "usage", "error"])


@given(st.lists(st.tuples(st.sampled_from(KINDS), FIELDS, JSON), max_size=8), JSON)
def test_odd_values_keep_the_grammar(events: list[tuple[str, str, Any]], odd: Any) -> None:
    found = [
        {"type": kind, "id": odd, "delta": {"message": {name: value}, name: value}} for kind, name, value in events
    ]
    check_grammar(decode_stream(FORMAT, [sse(*found)], CONTEXT))
    for name in ("content", "tool_calls", "citations", "tool_plan"):
        answer = {"id": odd, "finish_reason": "COMPLETE", "message": {name: odd}, "usage": odd}
        check_grammar(FORMAT.decode(json.dumps(answer).encode(), CONTEXT))


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("SOMETHING_NEW", "error"),
    ],
)
def test_finish_reasons_are_never_taken_for_success(native: str, reason: str) -> None:
    answer = TEXT_ANSWER | {"finish_reason": native}
    finished = fold(FORMAT.decode(json.dumps(answer).encode(), CONTEXT)).choices[0].finished
    assert finished is not None and (finished.reason, finished.native) == (reason, native)


def test_failures_are_typed() -> None:
    for body in (b"", b"[]", b"{}", b'{"message": "engine died"}'):
        with pytest.raises(ApiError) as refused:
            FORMAT.decode(body, CONTEXT)
        assert refused.value.error_type == "provider_unavailable"
    for stream in (
        sse({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "engine died"}}),
        b'data: {"message": "engine died"}\n\n',
        b"data: {broken\n\n",
        b"",
    ):
        assert isinstance(decode_stream(FORMAT, [stream], CONTEXT)[-1], Failed)


def body_of(*messages: Message, endpoint: Any = ENDPOINT, **fields: Any) -> dict[str, Any]:
    encoded = FORMAT.encode(GenerationRequest(messages=list(messages), **fields), endpoint, "gen-1")
    assert encoded.request.url.endswith("/chat")
    found: dict[str, Any] = json.loads(encoded.request.body)
    return found


def said(role: Any, *parts: AnyPart | str) -> Message:
    return Message(role=role, parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def test_turns_are_written_in_their_order() -> None:
    call = ToolCall(call_id="c1", name="tide", arguments='{"x":1}')
    mine, other = Reasoning(text="mine", origin=origin_at(ENDPOINT)), Reasoning(text="other", origin="a/b/c")
    found = body_of(
        said("system", "Be brief."),
        said("user", "Hello", ""),
        said("assistant", mine, other, "Hi"),
        said("user", "Tide?"),
        said("assistant", "I look.", call),
        said("tool", ToolResult(call_id="c1", content=[Text(text="six")])),
    )
    assert found["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "mine"}, {"type": "text", "text": "Hi"}]},
        {"role": "user", "content": "Tide?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "tide", "arguments": '{"x":1}'}}],
            "tool_plan": "I look.",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "six"},
    ]


def test_histories_are_fitted() -> None:
    """A call without a result gets one, and a result without a call becomes the user's text."""
    call = ToolCall(call_id="c1", name="tide", arguments="")
    found = body_of(
        said("user", "Tide?"), said("assistant", call), said("user", "And now?"),
        said("tool", ToolResult(call_id="lost", content=[Text(text="six")])), said("assistant", ""),
    )["messages"]  # fmt: skip
    assert [one["role"] for one in found] == ["user", "assistant", "tool", "user", "user"]
    assert found[2]["tool_call_id"] == "c1" and found[2]["content"]
    assert found[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert found[4]["content"] == "Result of a tool: six"


def test_media_of_results_follow_all_results() -> None:
    """A result is text alone, so images and documents go in a turn of the user; what Cohere cannot take is reported."""
    image, film = Media(kind="image", media_type="image/png", data="AAAA"), Media(kind="video", url="http://a/b")
    request = GenerationRequest(
        messages=[
            said("user", "Tide?"),
            said("assistant", ToolCall(call_id="c1", name="a"), ToolCall(call_id="c2", name="b")),
            said("tool", ToolResult(call_id="c1", content=[Text(text="A chart"), image])),
            said("tool", ToolResult(call_id="c2", content=[film])),
            said("user", "Go on"),
        ]
    )
    encoded = FORMAT.encode(request, ENDPOINT, "gen-1")
    assert json.loads(encoded.request.body)["messages"][2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "A chart"},
        {"role": "tool", "tool_call_id": "c2", "content": "(video left out)"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Attached to the result of c1:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "user", "content": "Go on"},
    ]
    assert encoded.dropped == ("messages.video",)


@pytest.mark.parametrize(
    ("part", "dropped"),
    [
        (Reasoning(text="other", origin="gemini/google"), "reasoning"),
        (Reasoning(encrypted="e", format="openai-responses-v1"), "reasoning"),
        (ToolCall(call_id="c1", name="a", signature="s", origin="gemini/google"), "reasoning"),
        (Text(text="x", cache=CacheMark()), "cache_control"),
        (Media(kind="image", data="AAAA"), "messages.images"),
    ],
    ids=["reasoning", "encrypted reasoning", "signature of a call", "cache mark", "image of an answer"],
)
def test_what_a_history_loses_is_reported(part: AnyPart, dropped: str) -> None:
    request = GenerationRequest(messages=[said("user", "Hello"), said("assistant", "Hi", part), said("user", "Go on")])
    assert FORMAT.encode(request, ENDPOINT, "gen-1").dropped == (dropped,)


def test_the_plan_of_calls_has_the_reasoning_before_the_text() -> None:
    call = ToolCall(call_id="c1", name="tide")
    found = body_of(said("user", "Tide?"), said("assistant", Reasoning(text="Hm."), "I look.", call))
    assert found["messages"][1]["tool_plan"] == "Hm.\nI look."


def test_the_name_of_a_speaker_is_written_before_the_text() -> None:
    named = Message(role="user", name="Ada", parts=[Text(text="Hello")])
    assert body_of(named)["messages"] == [{"role": "user", "content": "Ada: Hello"}]


def test_images_and_documents_are_written() -> None:
    text = base64.b64encode(b"High tide is at six.").decode()
    found = body_of(
        said(
            "user",
            "Look",
            Media(kind="image", media_type="image/png", data="AAAA"),
            Media(kind="document", media_type="text/plain", data=text, name="tides.txt"),
        )
    )
    assert found["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"},
    }
    assert found["documents"] == [{"id": "doc-0", "data": {"title": "tides.txt", "text": "High tide is at six."}}]
    for kind, media_type in (("audio", "audio/wav"), ("document", "application/pdf"), ("video", None)):
        with pytest.raises(ApiError, match="This provider takes no"):
            body_of(said("user", Media(kind=kind, media_type=media_type, data="AAAA")))  # type: ignore[arg-type]
    with pytest.raises(ApiError, match="All messages are empty"):
        body_of(said("user", ""))


def test_tools_names_and_choices() -> None:
    tools = [Tool(name="a b", description="Find"), Tool(name="note", kind="custom"), Tool(name="search", kind="hosted")]
    encoded = FORMAT.encode(GenerationRequest(messages=[said("user", "Hi")], tools=tools), ENDPOINT, "gen-1")
    offered = json.loads(encoded.request.body)["tools"]
    assert len(offered) == 2 and encoded.dropped == ("tools",)
    assert encoded.context.tool_names == {offered[0]["function"]["name"]: "a b"}
    assert encoded.context.custom_tools == {"note"}
    for mode, sent in (("none", "NONE"), ("required", "REQUIRED")):
        assert body_of(said("user", "Hi"), tools=tools, tool_choice=ToolChoice(mode=mode))["tool_choice"] == sent  # type: ignore[arg-type]
    forced = body_of(said("user", "Hi"), tools=tools, tool_choice=ToolChoice(mode="tool", name="note"))
    assert [one["function"]["name"] for one in forced["tools"]] == ["note"] and forced["tool_choice"] == "REQUIRED"
    with pytest.raises(ApiError, match="none of the tools"):
        body_of(said("user", "Hi"), tools=tools, tool_choice=ToolChoice(mode="tool", name="lost"))
    with pytest.raises(ApiError, match="no tools are offered"):
        body_of(said("user", "Hi"), tool_choice=ToolChoice(mode="required"))


def test_values_are_fitted_and_reported() -> None:
    sampling = Sampling(temperature=1.5, top_p=1.0, frequency_penalty=-1.0, stop=["a"] * 6, seed=-3)
    request = GenerationRequest(
        messages=[said("user", "Hi")], sampling=sampling, output=OutputFormat(kind="json_object")
    )
    encoded = FORMAT.encode(request, ENDPOINT, "gen-1")
    body = json.loads(encoded.request.body)
    assert (body["temperature"], body["frequency_penalty"], body["seed"], len(body["stop_sequences"])) == (1, 0, 3, 5)
    assert "p" not in body and body["response_format"] == {"type": "json_object"}
    assert encoded.dropped == ("frequency_penalty", "stop", "temperature")
    beside = msgspec.structs.replace(request, tools=[Tool(name="tide")])
    assert "response_format" in FORMAT.encode(beside, ENDPOINT, "gen-1").dropped


def test_names_of_tools_are_identifiers() -> None:
    """Cohere takes neither hyphens nor a digit at the beginning; the client reads its own names again."""
    names = ["get-tide", "2nd_tide", "get_tide"]
    request = GenerationRequest(messages=[said("user", "Hi")], tools=[Tool(name=name) for name in names])
    encoded = FORMAT.encode(request, ENDPOINT, "gen-1")
    sent = [one["function"]["name"] for one in json.loads(encoded.request.body)["tools"]]
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,63}", name) for name in sent)
    assert len(set(sent)) == 3 and sent[2] == "get_tide"
    assert encoded.context.tool_names == {sent[0]: "get-tide", sent[1]: "2nd_tide"}
