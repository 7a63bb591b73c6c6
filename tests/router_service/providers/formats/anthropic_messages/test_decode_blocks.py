"""Decoders read what is odd, new or left out, and lose nothing that they understand."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.events import Began, Failed, PartDelta, Result
from router_service.core.parts import Opaque, Reasoning, Text, ToolCall
from router_service.core.usage import Usage
from router_service.providers import gathered_text
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    CONTEXT,
    FORMAT,
    ORIGIN,
    events_of,
    read_message,
    read_stream,
)
from tests.router_service.providers.formats.decoded_streams import check_grammar

START = {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3, "output_tokens": 1}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
STOP = {"type": "message_stop"}


def begin(block: Any, index: Any = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(kind: str, index: Any = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def end(index: Any = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def parts_of(*events: dict[str, Any], context: DecodeContext = CONTEXT) -> list[Any]:
    """Return the parts of a complete stream with ``events`` in its middle."""
    found = read_stream(START, *events, END, STOP, context=context)
    assert found.error is None
    return list(found.choices[0].parts)


def reason_of(found: Result) -> str | None:
    assert found.choices[0].finished is not None
    return found.choices[0].finished.reason


def test_parts_without_the_start_or_the_end_of_their_block() -> None:
    """A delta starts its own block, and the end of the answer ends it."""
    assert parts_of(delta("text_delta", text="Hello!")) == [Text(text="Hello!", origin=ORIGIN)]
    thought = parts_of(delta("thinking_delta", thinking="Hm."), delta("signature_delta", signature="s"))
    assert thought == [Reasoning(text="Hm.", signature="s", format="anthropic-claude-v1", origin=ORIGIN)]
    assert parts_of(delta("input_json_delta", partial_json="{"), delta("new_delta"), delta("text_delta", text=1)) == []


def test_an_imitators_thinking_is_of_no_known_kind() -> None:
    """Client APIs that have a field for the kind of token let parts of a known kind go without their origin."""
    context = msgspec.structs.replace(CONTEXT, origin="anthropic_messages/minimax")
    thinking, redacted = parts_of(
        delta("thinking_delta", thinking="Hm."),
        delta("signature_delta", signature="s"),
        begin({"type": "redacted_thinking", "data": "d"}, 1),
        context=context,
    )
    assert isinstance(thinking, Reasoning) and isinstance(redacted, Reasoning)
    assert thinking.format is redacted.format is None
    assert thinking.origin == redacted.origin == "anthropic_messages/minimax"


def test_blocks_without_a_number() -> None:
    """A delta without a number is for the last block; a start without one ends the block before."""
    found = parts_of(
        begin({"type": "text", "text": ""}, None),
        delta("text_delta", None, text="One."),
        begin({"type": "text", "text": "Two."}, None),
        delta("text_delta", None, text=" Three."),
    )
    assert [part.text for part in found] == ["One.", "Two. Three."]


def test_a_message_without_its_start() -> None:
    """An answer begins with its first content, or with its end."""
    found = read_stream(begin({"type": "text", "text": "Hello!"}), END, STOP)
    assert found.began == Began()
    assert found.choices[0].parts == [Text(text="Hello!", origin=ORIGIN)]
    assert read_stream(END, STOP).choices[0].parts == []
    late = read_stream(begin({"type": "text", "text": "Hello!"}), START, END, STOP)
    assert late.usage == Usage(3, 7)


def test_content_after_the_stop_reason_is_ignored() -> None:
    """The first reason ends the answer; what follows has its counts alone."""
    found = read_stream(
        START,
        END,
        begin({"type": "text", "text": "x"}),
        delta("text_delta", text="x"),
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
        STOP,
        begin({"type": "text", "text": "x"}),
    )
    assert found.choices[0].parts == []
    assert reason_of(found) == "stop"
    assert found.usage == Usage(3, 9)


def test_an_error_after_the_stop_reason_is_a_failure() -> None:
    """Until its end an answer can fail."""
    found = read_stream(START, END, {"type": "error", "error": {"type": "api_error", "message": "Late."}})
    assert found.error is not None
    assert found.error.message == "Late."


def test_calls() -> None:
    """Calls have their own ids, or ids made from the generation; names are the client's; input is always JSON."""
    context = DecodeContext(generation_id="gen-1", origin=ORIGIN, tool_names={"a_b": "a.b"})
    found = parts_of(
        begin({"type": "tool_use", "id": "t", "name": "a_b", "input": {"never": 1}}),
        delta("input_json_delta", partial_json='{"x":'),
        delta("input_json_delta", partial_json=""),
        delta("text_delta", text="not for a call"),
        delta("input_json_delta", partial_json="1}"),
        begin({"type": "tool_use", "name": "now"}, 1),
        begin({"type": "tool_use", "id": 5, "input": '{"text": 1}'}, 2),
        context=context,
    )
    assert [(part.call_id, part.name, part.arguments) for part in found] == [
        ("t", "a.b", '{"x":1}'),
        ("gen-1_1", "now", "{}"),
        ("gen-1_2", "", '{"text": 1}'),
    ]


def test_parallel_calls_may_interleave() -> None:
    """Deltas go to the block of their number."""
    found = parts_of(
        begin({"type": "tool_use", "id": "a", "name": "f"}, 0),
        begin({"type": "tool_use", "id": "b", "name": "f"}, 1),
        delta("input_json_delta", 0, partial_json='{"a"'),
        delta("input_json_delta", 1, partial_json='{"b"'),
        delta("input_json_delta", 0, partial_json=":1}"),
        delta("input_json_delta", 1, partial_json=":2}"),
        end(1),
        end(0),
        end(0),
    )
    assert [(part.call_id, part.arguments) for part in found] == [("a", '{"a":1}'), ("b", '{"b":2}')]


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        (['{"input":"*** Be', 'gin\\n\\"x\\""}'], '*** Begin\n"x"'),
        (['{"input":""}'], ""),
        (['{"input": 1}'], '{"input": 1}'),
        (['{"input":"cut'], '{"input":"cut'),
    ],
)
def test_custom_calls_are_text_again(pieces: list[str], arguments: str) -> None:
    """The one argument of the function is the text of the custom tool; anything else stays as it came."""
    context = DecodeContext(origin=ORIGIN, custom_tools=frozenset({"patch"}))
    block = {"type": "tool_use", "id": "p", "name": "patch", "input": {}}
    streamed = parts_of(
        begin(block), *(delta("input_json_delta", partial_json=piece) for piece in pieces), end(), context=context
    )
    assert streamed == [ToolCall(call_id="p", name="patch", arguments=arguments, kind="custom", origin=ORIGIN)]
    complete = read_message(context, content=[block | {"input": {"input": "text"}}], stop_reason="tool_use")
    assert complete.choices[0].parts[0] == ToolCall(
        call_id="p", name="patch", arguments="text", kind="custom", origin=ORIGIN
    )


def opaque(part: Any) -> dict[str, Any]:
    assert isinstance(part, Opaque)
    assert part.dialect == "anthropic_messages"
    found: dict[str, Any] = json.loads(bytes(part.raw))
    return found


def test_blocks_that_are_newer_than_the_router() -> None:
    """Deltas are added to the fields that they name, and the complete block is kept."""
    found = parts_of(
        begin({"type": "hologram", "data": "a", "depth": None, "list": []}),
        delta("hologram_delta", data="b"),
        delta("hologram_delta", data="c", depth="d"),
        delta("hologram_delta", list=[1], fresh={"x": 1}),
        delta("input_json_delta", partial_json="not json"),
    )
    assert opaque(found[0]) == {"type": "hologram", "data": "abc", "depth": "d", "list": [1], "fresh": {"x": 1}}
    assert found[0].text is None


def test_hosted_calls_and_results() -> None:
    """The input of a hosted call is read from its deltas, and results say what they found."""
    found = parts_of(
        begin({"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {}}),
        delta("input_json_delta", partial_json='{"command":'),
        delta("input_json_delta", partial_json='"ls"}'),
        end(),
        begin(
            {
                "type": "bash_code_execution_tool_result",
                "tool_use_id": "s",
                "content": {"type": "bash_code_execution_result", "stdout": "a.txt", "stderr": " ", "content": []},
            },
            1,
        ),
        end(1),
    )
    assert opaque(found[0])["input"] == {"command": "ls"}
    assert [part.text for part in found] == ['bash_code_execution({"command":"ls"})', "a.txt"]


def test_a_block_beyond_the_bound_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test the bound of what has to be gathered."""
    monkeypatch.setattr(gathered_text, "MAX_GATHERED", 10)
    found = read_stream(START, begin({"type": "hologram"}), delta("hologram_delta", data="x" * 11), END, STOP)
    assert found.error is not None
    assert found.error.code == 502


@pytest.mark.parametrize("block", [None, "text", [], {}, {"type": 7}, {"type": "redacted_thinking", "data": 1}])
def test_blocks_that_are_none(block: Any) -> None:
    """A block without a kind, or without what its kind consists of, is no part, in either mode."""
    assert parts_of(begin(block), delta("hologram_delta", data="x"), delta("citations_delta", 9), end()) == []
    assert read_message(content=[block]).choices[0].parts == []


def test_citations_come_in_starts_and_deltas() -> None:
    """Citations may come before the text, and odd ones are not read."""
    own = {"type": "char_location", "document_title": "A", "cited_text": "x"}
    found = parts_of(
        begin({"type": "text", "text": "", "citations": [own, 5]}),
        delta("citations_delta", citation=own),
        delta("citations_delta", citation=None),
        delta("text_delta", text="y"),
        begin({"type": "thinking", "thinking": "z", "citations": [own]}, 1),
        begin({"type": "text", "text": "t", "citations": "odd"}, 2),
    )
    assert [citation.title for citation in found[0].citations] == ["A", "A"]
    assert found[0].text == "y"
    assert [part.text for part in found[1:]] == ["z", "t"]


def test_the_reason_follows_what_was_called() -> None:
    """Calls after ``end_turn`` are calls; a reason that is no text is none."""
    content = [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]
    assert reason_of(read_message(content=content)) == "tool_calls"
    assert reason_of(read_message(content=content, stop_reason="max_tokens")) == "length"
    for odd in (None, "", 5, {}):
        assert read_message(content=content, stop_reason=odd).error is not None


def test_content_that_is_text_alone() -> None:
    """An imitator's content may be a string."""
    assert read_message(content="Hello!").choices[0].parts == [Text(text="Hello!", origin=ORIGIN)]


def test_faulty_json_is_read_leniently() -> None:
    """Invalid UTF-8, lone surrogates and control characters do not lose an answer."""
    content = b'[{"type":"text","text":"x\xe2\x80 \\ud83d \n"}]'
    body = b'{"content":' + content + b',"stop_reason":"end_turn","usage":{"input_tokens":NaN}}'
    found = FORMAT.decode(body, CONTEXT)
    assert "".join(event.text for event in found if isinstance(event, PartDelta)) == "x\ufffd \ufffd \n"


def test_data_that_say_nothing() -> None:
    """Empty data, null, the end mark of another format, JSON that is no object and unknown events are ignored."""
    decoder = FORMAT.decoder(CONTEXT)
    for data in (b"", b" ", b"null", b"[DONE]", b"5", b'{"type":"ping"}', b'{"type":"new","error":null}', b"{}"):
        assert decoder.feed(None, data) is None
    assert [type(event) for event in decoder.end()] == [Failed]
    assert decoder.end() == []


def test_what_commits_an_attempt() -> None:
    """Content or the reason of an end commits; the head, counts and the start of a call do not."""
    decoder = FORMAT.decoder(CONTEXT)
    call = begin({"type": "tool_use", "id": "t", "name": "f"})
    for event, commits in (
        (START, False),
        (call, False),
        (delta("input_json_delta", partial_json="{}"), True),
        (END, True),
    ):
        batch = decoder.feed(None, json.dumps(event).encode())
        assert batch is not None
        assert batch.has_content is commits
        assert (batch.dialect, batch.spliced) == (None, [])


USAGES: list[tuple[list[Any], Usage | None]] = [
    ([{"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 9}, {"output_tokens": 2}], Usage(5, 9)),
    ([{"input_tokens": 5, "output_tokens": "7"}], Usage(5, 7)),
    ([{"input_tokens": -5, "output_tokens": 10**12}], None),
    ([None, [], "odd", {"input_tokens": None, "output_tokens": True}], None),
    (
        [{"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}}],
        Usage(6, 0, cache_write_tokens=5, cache_write_1h_tokens=3),
    ),
    (
        [{"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}, {"output_tokens_details": "odd"}],
        Usage(0, 9, reasoning_tokens=4),
    ),
    ([{"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 4}}], Usage(0, 3, reasoning_tokens=3)),
    (
        [
            {
                "input_tokens": 1,
                "output_tokens": 2,
                "iterations": [{"type": "compaction", "input_tokens": 10, "output_tokens": 20}, {"input_tokens": 1}, 5],
            }
        ],
        Usage(11, 20, cached_tokens=0, cache_write_tokens=0),
    ),
]


@pytest.mark.parametrize(("reported", "usage"), USAGES)
def test_counts_of_a_stream(reported: list[Any], usage: Usage | None) -> None:
    """Per meter the last valid count stands, never lower than before, and odd ones fail nothing."""
    deltas = [{"type": "message_delta", "delta": {}, "usage": found} for found in reported]
    found = read_stream(
        {"type": "message_start", "message": {}}, *deltas, {"type": "message_delta", "delta": END["delta"]}, STOP
    )
    assert found.error is None
    assert found.usage == usage


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
kinds = st.sampled_from(
    ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result", "new", 7]
)
blocks = st.fixed_dictionaries(
    {"type": kinds},
    optional=dict.fromkeys(("text", "thinking", "signature", "data", "id", "name", "input", "citations"), anything),
)
deltas = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"]
        )
    },
    optional=dict.fromkeys(("text", "thinking", "signature", "partial_json", "citation", "data"), anything),
)
index = st.sampled_from([0, 1, None, "x"])
stream_events = st.one_of(
    st.builds(lambda block, at: begin(block, at), blocks | anything, index),
    st.builds(lambda found, at: {"type": "content_block_delta", "index": at, "delta": found}, deltas | anything, index),
    st.builds(lambda at: end(at), index),
    st.builds(lambda found: {"type": "message_delta", "delta": found, "usage": found}, anything),
    st.builds(lambda found: {"type": "message_start", "message": found}, anything),
    st.sampled_from([START, END, STOP]),
    st.builds(lambda found: {"type": "error", "error": found}, anything),
)


@given(st.lists(stream_events, max_size=12))
def test_any_events_keep_the_grammar(found: list[dict[str, Any]]) -> None:
    """Whatever a provider sends, the answer has one end and never raises."""
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in found]
    check_grammar(events_of(lines))


@given(st.lists(blocks | anything, max_size=5), anything, anything)
def test_any_message_keeps_the_grammar(content: list[Any], reason: Any, usage: Any) -> None:
    """A non-streaming response of any content folds to one result."""
    message = {"type": "message", "content": content, "stop_reason": reason, "usage": usage}
    check_grammar(FORMAT.decode(json.dumps(message).encode(), CONTEXT))
