"""Tests how answers are written as chunks: splices, errors, and what SDKs need of single deltas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from router_service.api.skins.chat.render import ResponseHead, render_response
from router_service.api.skins.chat.stream import ChatStreamRenderer
from router_service.api.skins.error_envelope import error_envelope
from router_service.core.answer import EventBatch, LazyBatch, SplicedChoice
from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
    Result,
    ResultChoice,
)
from router_service.core.origin import unwrap_token
from router_service.core.parts import AnyPart, Citation, HostedUse, Media, Opaque, Reasoning, Text, ToolCall
from router_service.core.usage import Usage
from tests.router_service.api.skins.chat.answers import (
    HEAD,
    USAGE,
    accumulate,
    chunks_of,
    parse_message,
    validate_chunk,
)

STOP = Finished(choice=0, reason="stop", native="stop")


def deltas_of(events: list[Event]) -> list[dict[str, Any]]:
    """Return the deltas of the only choice."""
    chunks = chunks_of(ChatStreamRenderer(HEAD).feed(events))
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def whole(*parts: AnyPart, began: Began | None = None) -> dict[str, Any]:
    """Return the only choice of a complete answer that consists of ``parts``."""
    result = Result(began or Began(), [ResultChoice(list(parts), STOP)])
    found: dict[str, Any] = render_response(result, HEAD, USAGE)["choices"][0]
    return found


def spliced(*choices: SplicedChoice, events: list[Event] | None = None) -> LazyBatch:
    has_calls = any(b"tool_calls" in bytes(choice.delta) for choice in choices)
    return LazyBatch("openai_chat", list(choices), True, lambda: events or [], None, has_calls)


def test_verified_deltas_are_spliced_byte_by_byte() -> None:
    """The head is ours and the delta the provider's, with its order of fields, its spacing and unknown fields."""
    raw = b'{"content": "\\u00e9",   "role":"assistant","x":[1, 2.50]}'
    found = ChatStreamRenderer(HEAD).render(spliced(SplicedChoice(0, Raw(raw), None, None, Raw(b'{"content":null}'))))
    assert found == (
        b'data: {"id":"gen-1-abc","object":"chat.completion.chunk","created":1700000000,"model":"acme/one",'
        b'"provider":"Acme","service_tier":"default","choices":[{"index":0,"delta":' + raw + b',"finish_reason":null,'
        b'"native_finish_reason":null,"logprobs":{"content":null}}]}\n\n'
    )


def test_events_of_a_spliced_batch_are_not_read() -> None:
    def refuse() -> list[Event]:
        raise AssertionError("read")

    batch = LazyBatch("openai_chat", [SplicedChoice(0, Raw(b'{"content":"a"}'), "stop", "eos")], True, refuse)
    [chunk] = chunks_of(ChatStreamRenderer(HEAD).render(batch))
    assert chunk["choices"][0]["finish_reason"] == "stop"
    assert chunk["choices"][0]["native_finish_reason"] == "eos"


def test_two_deltas_of_one_choice_are_two_chunks() -> None:
    """One chunk holds each choice once, which SDKs rely on."""
    renderer = ChatStreamRenderer(HEAD)
    one, other = SplicedChoice(0, Raw(b'{"content":"a"}')), SplicedChoice(1, Raw(b'{"content":"b"}'))
    assert len(chunks_of(renderer.render(spliced(one, other)))) == 1
    assert len(chunks_of(renderer.render(spliced(one, one)))) == 2
    assert renderer.render(spliced()) == b""


def test_reasoning_between_spliced_deltas_is_closed_with_its_signature() -> None:
    """A provider of this dialect sends reasoning, which comes as events, and text, which is spliced."""
    renderer = ChatStreamRenderer(HEAD)
    first = EventBatch(
        [Began(), PartBegan(0, 0, Reasoning(format="anthropic-claude-v1")), PartDelta(choice=0, index=0, text="Hm")]
    )
    ends: list[Event] = [
        PartEnded(choice=0, index=0, signature="c2ln"),
        PartBegan(0, 1, Text()),
        PartDelta(choice=0, index=1, text="Hi"),
        PartEnded(choice=0, index=1),
    ]
    text = spliced(SplicedChoice(0, Raw(b'{"content":"Hi"}')), events=ends)
    call = spliced(
        SplicedChoice(0, Raw(b'{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}}]}'))
    )
    later = EventBatch(
        [PartBegan(0, 2, ToolCall(call_id="c2", name="g")), PartEnded(choice=0, index=2), STOP, STOP, Ended()]
    )
    stream = b"".join(renderer.render(batch) for batch in (first, text, call, later)) + renderer.close(USAGE)
    chunks = chunks_of(stream)
    message = accumulate(chunks)[0]["message"]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm", "format": "anthropic-claude-v1", "index": 0, "signature": "c2ln"}
    ]
    assert (message["role"], message["content"]) == ("assistant", "Hi")
    assert [call["id"] for call in message["tool_calls"]] == ["c1", "c2"]
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]].count("stop") == 1


def test_an_excluded_reasoning_turns_splices_off() -> None:
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Reasoning(text="secret")),
        PartEnded(choice=0, index=0),
        PartBegan(0, 1, ToolCall(call_id="c", name="f", signature="s")),
        PartEnded(choice=0, index=1),
        STOP,
    ]
    renderer = ChatStreamRenderer(HEAD, exclude_reasoning=True)
    found = renderer.render(spliced(SplicedChoice(0, Raw(b'{"reasoning":"secret"}')), events=events))
    assert b"secret" not in found and b"reasoning" not in found and b'"c"' in found


def test_text_that_interleaves_keeps_the_order_of_its_parts() -> None:
    """A later text waits for the open one; its log probabilities do not, and citations count from its beginning."""
    logprobs = Raw(b'{"content":[{"token":"b","logprob":-1}]}')
    found = deltas_of(
        [
            Began(),
            PartBegan(0, 0, Text(text="a")),
            PartBegan(0, 1, Text()),
            PartDelta(choice=0, index=1, text="b", logprobs=logprobs),
            PartDelta(choice=0, index=1, citation=Citation(url="https://example.com/")),
            PartEnded(choice=0, index=1),
            PartDelta(choice=0, index=0, text="c"),
            PartEnded(choice=0, index=0),
            STOP,
        ]
    )
    assert [delta.get("content") for delta in found] == ["a", None, "c", "b", None, None]
    [cited] = found[4]["annotations"]
    assert cited == {
        "type": "url_citation",
        "url_citation": {
            "url": "https://example.com/",
            "title": "https://example.com/",
            "start_index": 2,
            "end_index": 3,
        },
        "index": 0,
    }


def test_a_call_is_named_once_and_indexed() -> None:
    """The openai SDK adds up strings, so that a second id or name would be a longer one."""
    found = deltas_of(
        [
            Began(),
            PartBegan(0, 4, ToolCall(call_id="c1", name="f", arguments="{")),
            PartBegan(0, 7, ToolCall(name="shell", kind="custom")),
            PartDelta(choice=0, index=7, text="ls"),
            PartDelta(choice=0, index=4, text="}"),
        ]
    )
    assert [call for delta in found for call in delta["tool_calls"]] == [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 1, "id": "call_gen-1-abc_0_1", "type": "custom", "custom": {"name": "shell", "input": ""}},
        {"index": 1, "custom": {"input": "ls"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]
    assert [delta.get("role") for delta in found] == ["assistant", None, None, None]


def test_a_higher_choice_that_begins_first_announces_the_lower_ones() -> None:
    """The openai SDK places a first chunk by the number of its choice and fails if it is not 0."""
    renderer = ChatStreamRenderer(HEAD)
    chunks = chunks_of(renderer.feed([Began(), PartBegan(2, 0, Text(text="b")), PartBegan(0, 0, Text(text="a"))]))
    assert [(c["index"], c["delta"]) for chunk in chunks for c in chunk["choices"]] == [
        (0, {"role": "assistant"}),
        (1, {"role": "assistant"}),
        (2, {"role": "assistant", "content": "b"}),
        (0, {"content": "a"}),
    ]
    assert [choice["message"]["content"] for choice in accumulate(chunks) if choice["index"] != 1] == ["a", "b"]


def test_reasoning_in_all_its_kinds() -> None:
    """Redacted reasoning is an encrypted entry; a summary with encrypted text is two entries of one index."""
    parts = [
        Reasoning(text="Hm", signature="s", format="anthropic-claude-v1"),
        Reasoning(encrypted="AAA", format="anthropic-claude-v1"),
        Reasoning(text="Sum", summary=True, encrypted="BBB", format="openai-responses-v1", item_id="rs_1"),
        Reasoning(text="plain"),
        Reasoning(),
    ]
    assert whole(*parts)["message"]["reasoning"] == "HmSumplain"
    assert whole(*parts)["message"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "AAA", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.summary", "summary": "Sum", "id": "rs_1", "format": "openai-responses-v1", "index": 2},
        {"type": "reasoning.encrypted", "data": "BBB", "id": "rs_1", "format": "openai-responses-v1", "index": 2},
        {"type": "reasoning.text", "text": "plain", "format": "unknown", "index": 3},
    ]


def test_a_late_id_is_sent_with_the_end_of_reasoning() -> None:
    found = deltas_of(
        [
            Began(),
            PartBegan(0, 0, Reasoning(text="Sum", summary=True)),
            PartEnded(choice=0, index=0, item_id="rs_1"),
            PartBegan(0, 1, Reasoning(text="Two", encrypted="AA", item_id="rs_2", origin="o")),
            PartEnded(choice=0, index=1),
        ]
    )
    entries = [entry for delta in found for entry in delta["reasoning_details"]]
    assert entries[1] == {"type": "reasoning.summary", "summary": "", "id": "rs_1", "index": 0}
    assert [entry.get("id") for entry in entries] == [None, "rs_1", "rs_2", None]
    # The format says nothing of the kind of token, so that the token carries its origin.
    assert unwrap_token(entries[3]["data"]) == ("o", "AA")


def test_calls_that_a_provider_ran_are_told_in_the_dialects_own_words_or_as_text() -> None:
    own = {"type": "reasoning.server_tool_call", "tool_name": "search", "arguments": "{}", "result": "found"}
    asked = HostedUse("web_search", arguments='{"query":"x"}', call_id="srv_1")
    parts = [
        Opaque(dialect="openai_chat", raw=Raw(json.dumps(own).encode())),
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}"), text="web_search(x)", hosted=asked),
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}"), text="A", hosted=HostedUse("web_search", result="A")),
        Opaque(dialect="openai_chat", raw=Raw(b'{"type":"else"}'), text="I searched. "),
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}")),
        Text(text="Found."),
    ]
    message = whole(*parts)["message"]
    assert message["content"] == "I searched. Found."
    foreign = {"type": own["type"], "tool_name": "web_search", "format": "unknown"}
    assert message["reasoning_details"] == [
        {**own, "index": 0},
        {**foreign, "arguments": '{"query":"x"}', "result": "", "tool_call_id": "srv_1", "index": 1},
        {**foreign, "arguments": "", "result": "A", "tool_call_id": None, "index": 2},
    ]
    events: list[Event] = [Began()]
    for index, part in enumerate(parts):
        events += [PartBegan(0, index, part), PartEnded(choice=0, index=index)]
    streamed = accumulate(chunks_of(ChatStreamRenderer(HEAD).feed([*events, STOP])))[0]["message"]
    assert streamed["content"] == message["content"]
    assert streamed["reasoning_details"] == message["reasoning_details"]


@pytest.mark.parametrize(
    ("annotation", "is_kept"),
    [
        (b'{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":1,"end_index":2},"x":1}', True),
        (b'{"type":"file","file":{"hash":"h","content":[]}}', True),
        (b'{"type":"url_citation","url_citation":{"url":"u"}}', False),
        (b'{"type":"else"}', False),
    ],
)
def test_annotations_of_the_dialect_are_kept_if_sdks_can_read_them(annotation: bytes, is_kept: bool) -> None:
    citation = Citation(url="u", start=0, dialect="openai_chat", raw=Raw(annotation))
    [found] = whole(Text(text="abc", citations=[citation]))["message"]["annotations"]
    made = {"type": "url_citation", "url_citation": {"url": "u", "title": "u", "start_index": 0, "end_index": 3}}
    assert found == (json.loads(annotation) if is_kept else made)


def test_a_paused_turn_ends_with_stop_and_its_native_reason() -> None:
    finished = Finished(choice=0, reason="pause_turn", native="pause_turn")
    [choice] = render_response(Result(Began(), [ResultChoice([], finished)]), HEAD, USAGE)["choices"]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "pause_turn")
    [chunk] = chunks_of(ChatStreamRenderer(HEAD).feed([Began(), finished]))
    assert chunk["choices"][0]["delta"] == {"role": "assistant"}
    assert chunk["choices"][0]["finish_reason"] == "stop"
    assert chunk["choices"][0]["native_finish_reason"] == "pause_turn"


def test_log_probabilities_are_joined_and_get_the_fields_that_sdks_require() -> None:
    pieces = [
        Raw(b'{"content":[{"token":"a","logprob":-1}]}'),
        Raw(b"null"),
        Raw(b'{"content":7}'),
        Raw(b'{"content":[{"token":"b","logprob":-2,"bytes":[98]}]}'),
    ]
    result = Result(Began(), [ResultChoice([Text(text="ab")], STOP, pieces)])
    assert render_response(result, HEAD, USAGE)["choices"][0]["logprobs"] == {
        "content": [
            {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []},
            {"token": "b", "logprob": -2.0, "bytes": [98], "top_logprobs": []},
        ],
        "refusal": None,
    }


def test_audio_and_images_have_the_fields_that_sdks_require() -> None:
    message = whole(
        Media(kind="audio", data="UklG", transcript="Hi", item_id="audio_1"),
        Media(kind="audio", data="AAAA"),
        Media(kind="image", data="iVBO"),
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="image"),
    )["message"]
    assert message["audio"] == {"id": "audio_1", "data": "UklG", "expires_at": HEAD.created, "transcript": "Hi"}
    assert [image["image_url"]["url"] for image in message["images"]] == [
        "data:image/png;base64,iVBO",
        "https://example.com/a.png",
    ]
    assert message["content"] is None


def test_the_beginning_sets_service_tier_and_fingerprint() -> None:
    head = ResponseHead(id="gen-1-abc", created=1, model="m")
    began = Began(service_tier="flex", extras={"openai_chat": {"system_fingerprint": "fp_1"}})
    [chunk] = chunks_of(ChatStreamRenderer(head).feed([began, Metered(Usage()), STOP]))
    assert (chunk["service_tier"], chunk["system_fingerprint"], chunk["provider"]) == ("flex", "fp_1", None)
    body = render_response(Result(began, [ResultChoice([], STOP)]), head, USAGE)
    assert (body["service_tier"], body["system_fingerprint"]) == ("flex", "fp_1")
    odd = Began(extras={"openai_chat": {"system_fingerprint": 7}})
    assert render_response(Result(odd, []), head, USAGE)["system_fingerprint"] is None


def test_a_stream_that_breaks_ends_with_an_error_chunk() -> None:
    """The chunk has the reference's shape: an error beside a choice that ended with ``error``, then the last event."""
    renderer = ChatStreamRenderer(HEAD)
    error = ApiError("rate_limit_exceeded", "slow down", metadata={"provider_code": 429})
    text = renderer.feed([Began(), PartBegan(0, 0, Text(text="a")), Failed(error)])
    assert (renderer.ended, renderer.error) == (True, error)
    ending = renderer.fail(error, openrouter_metadata={"x": 1})
    assert ending.endswith(b"\n\ndata: [DONE]\n\n")
    [first, last] = chunks_of(text + ending)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    assert last["error"] == {
        "code": 429,
        "message": "slow down",
        "metadata": {"error_type": "rate_limit_exceeded", "provider_code": "429"},
    }
    assert last["choices"] == [
        {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}
    ]
    assert last["openrouter_metadata"] == {"x": 1}
    from openrouter.components import ChatStreamChunk

    ChatStreamChunk.model_validate({key: value for key, value in last.items() if key != "openrouter_metadata"})


def test_the_last_chunk_has_the_usage_and_no_choice() -> None:
    renderer = ChatStreamRenderer(HEAD)
    ending = renderer.close(USAGE)
    [chunk] = chunks_of(ending)
    assert (chunk["choices"], chunk["usage"]) == ([], USAGE)
    validate_chunk(chunk)


@pytest.mark.parametrize("error", [None, ApiError("timeout", "too slow")])
def test_a_whole_answer_that_broke_says_so_in_its_choice(error: ApiError | None) -> None:
    """An answer that is not finished is never a success, whether or not an error says why."""
    [choice] = render_response(Result(Began(), [ResultChoice([Text(text="a")])], error=error), HEAD, USAGE)["choices"]
    assert choice["finish_reason"] == "error" and choice["message"]["content"] == "a"
    assert choice["error"]["code"] == (504 if error else 502)


def test_the_envelope_of_an_error() -> None:
    assert error_envelope(ApiError("not_found", "gone"), openrouter_metadata=None) == {
        "error": {"code": 404, "message": "gone", "metadata": {"error_type": "not_found"}},
        "openrouter_metadata": None,
    }


def test_events_of_parts_that_have_no_field_are_passed_over() -> None:
    """A hosted call, a video, a second audio and an end of a part that never began change nothing."""
    video, hosted = Media(kind="video", data="AA"), ToolCall(name="web_search", kind="hosted")
    logprobs = Raw(b'{"content":[]}')
    events: list[Event] = [Began()]
    for index, part in enumerate((hosted, video, Media(kind="audio", item_id="a"), Media(kind="audio", item_id="b"))):
        events += [PartBegan(0, index, part), PartDelta(choice=0, index=index), PartEnded(choice=0, index=index)]
    events += [PartEnded(choice=0, index=9), PartDelta(choice=0, index=9, text="x", logprobs=logprobs), STOP]
    found = deltas_of(events)
    assert [delta.get("audio", {}).get("id") for delta in found] == ["a", None, None]
    assert found[1] == {} and found[2] == {}


def test_a_signed_call_keeps_its_signature_and_origin_through_the_client() -> None:
    """The signature travels as an encrypted entry with the id of the call, in a stream as in a whole answer."""
    call = ToolCall(call_id="c1", name="f", arguments="{}", signature="s", origin="gemini")
    events: list[Event] = [Began(), PartBegan(0, 0, call), PartEnded(choice=0, index=0), STOP]
    streamed = accumulate(chunks_of(ChatStreamRenderer(HEAD).feed(events)))[0]["message"]
    assert parse_message(whole(call)["message"]).parts == parse_message(streamed).parts == [call]
