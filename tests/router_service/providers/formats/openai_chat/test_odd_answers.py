"""Test spellings, places and shapes that no vendor's own format has, as gateways and imitators send them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.events import Result
from router_service.core.usage import Usage
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.openai_chat.wire import (
    FORMAT,
    calls_of,
    chunk,
    decoded,
    events_of_chunks,
    folded,
    message,
    reasoning_of,
    text_of,
)

SAID = chunk({"role": "assistant", "content": "Hi"})
END = chunk({}, "stop")


def streamed(*chunks: Any, done: bool = True) -> Result:
    """Return the result of a stream."""
    return folded(events_of_chunks(*chunks, done=done))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100, "completion_tokens": 5},
            Usage(1000, 5, 900),
        ),
        ({"prompt_tokens": 10, "total_tokens": 15}, Usage(10, 5)),
        ({"completion_tokens": 5, "total_tokens": 15}, Usage(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 50}, Usage(10, 5, 10)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "num_cached_tokens": 4}, Usage(10, 5, 4)),
        ({"prompt_tokens": 100_000_001, "completion_tokens": 5}, Usage(0, 5)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 50}},
            Usage(10, 5, 10),
        ),
        ({"prompt_tokens": 10, "total_tokens": 5}, Usage(10, 0)),
    ],
)
def test_counts_that_are_missing_follow_from_the_others(usage: Any, counted: Usage) -> None:
    assert decoded(message({"role": "assistant", "content": "x"}, usage=usage)).usage == counted
    assert streamed(SAID, END, {"choices": [], "usage": usage}).usage == counted


@pytest.mark.parametrize("cached", [{"cached_tokens": 4}, {"prompt_tokens_details": {"cached_tokens": 4}}])
def test_usage_is_found_within_a_choice_and_within_what_it_says(cached: Any) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, **cached}
    within = {"index": 0, "finish_reason": "stop"}
    for last in ({**within, "delta": {}, "usage": usage}, {**within, "delta": {"usage": usage}}):
        assert streamed(SAID, {"id": "c", "choices": [last]}).usage == Usage(10, 5, 4)
    whole = {"role": "assistant", "content": "x"}
    for only in ({**within, "message": whole, "usage": usage}, {**within, "message": {**whole, "usage": usage}}):
        assert decoded({"id": "c", "choices": [only]}).usage == Usage(10, 5, 4)


@pytest.mark.parametrize(
    ("found", "kind", "sentence"),
    [
        ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "slow"}}, "rate_limit_exceeded", "slow"),
        ({"base_resp": {"status_code": 1027, "status_msg": "unsafe"}}, "content_policy_violation", "unsafe"),
        ({"error": {"code": "1302", "message": "High concurrency"}}, "rate_limit_exceeded", "High concurrency"),
        ({"error_code": 336003, "error_msg": "bad"}, "provider_unavailable", "bad"),
        (
            {
                "choices": [
                    {"index": 0, "delta": {}, "error": {"code": 429, "message": "slow"}, "finish_reason": "error"}
                ]
            },
            "rate_limit_exceeded",
            "slow",
        ),
    ],
)
def test_errors_keep_their_sentence_in_every_place(found: Any, kind: str, sentence: str) -> None:
    error = streamed(SAID, found).error
    assert error is not None and (error.error_type, error.message) == (kind, sentence)
    with pytest.raises(ApiError) as raised:
        decoded(found)
    assert (raised.value.error_type, raised.value.message) == (kind, sentence)


def test_a_response_of_minimax_that_succeeded_is_no_error() -> None:
    told = {"base_resp": {"status_code": 0, "status_msg": ""}}
    assert text_of(streamed(SAID | told, END | told)) == "Hi"


@pytest.mark.parametrize(
    ("said", "text", "reasoning", "calls"),
    [
        ({"content": {"type": "text", "text": "abc"}}, "abc", "", 0),
        ({"content": [{"type": "reasoning", "text": "r"}, {"type": "text", "text": "t"}]}, "t", "r", 0),
        ({"content": "t", "reasoning": {"content": "r"}}, "t", "r", 0),
        ({"tool_calls": {"id": "a", "function": {"name": "f", "arguments": "{}"}}}, "", "", 1),
        ({"content": "t", "function_call": {}}, "t", "", 0),
    ],
)
def test_other_shapes_are_read(said: Any, text: str, reasoning: str, calls: int) -> None:
    for result in (decoded(message({"role": "assistant", **said})), streamed(chunk(said), END)):
        assert (text_of(result), reasoning_of(result), len(calls_of(result))) == (text, reasoning, calls)


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("tool-calls", "tool_calls"),
        ("toolUse", "tool_calls"),
        ("max_output_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("content-filter", "content_filter"),
        ("RECITATION", "content_filter"),
        ("completed", "stop"),
        ("repetition_truncation", "error"),
        ("abort", "error"),
    ],
)
def test_finish_reasons_of_other_apis_are_typed(native: str, reason: str) -> None:
    finished = streamed(SAID, chunk({}, native)).choices[0].finished
    assert finished is not None and (finished.reason, finished.native) == (reason, native)


def test_white_space_around_the_last_event_is_no_error() -> None:
    assert streamed(SAID, END, b" [DONE] ", done=False).error is None


def test_a_legacy_call_of_a_response_has_both_fields() -> None:
    (batch,) = FORMAT.decode_batches(
        b'{"choices":[{"message":{"role":"assistant","function_call":{"name":"f"}},"finish_reason":"stop"}]}',
        DecodeContext(),
    )
    assert b'"function_call":{"name":"f","arguments":""}' in bytes(batch.spliced[0].delta)


LATER: list[dict[str, Any]] = [
    {"index": 0, "id": "", "function": {"arguments": ":1}"}},
    {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": ":1}"}},
    {"index": 0, "id": "a", "type": "", "function": {"name": "", "arguments": ":1}"}},
    {"id": "", "function": {"arguments": ":1}"}},
]


@pytest.mark.parametrize("later", LATER)
def test_later_pieces_of_a_call_repeat_nothing(later: dict[str, Any]) -> None:
    """SDKs join what a piece has to what they have: its id and its type come once."""
    decoder = FORMAT.decoder(DecodeContext(generation_id="gen-1"))
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}
    deltas = []
    for piece in (first, later):
        batch = decoder.feed(None, msgspec.json.encode(chunk({"tool_calls": [piece]})))
        assert batch is not None
        deltas += [msgspec.json.decode(choice.delta)["tool_calls"] for choice in batch.spliced]
    assert deltas[1] == [{"index": 0, "function": {"arguments": ":1}"}}]


def test_a_call_without_arguments_has_empty_ones() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f"}}
    custom = {"id": "b", "type": "custom", "custom": {"name": "g"}}
    (batch,) = FORMAT.decode_batches(
        msgspec.json.encode(message({"role": "assistant", "content": None, "tool_calls": [call, custom]})),
        DecodeContext(generation_id="gen-1"),
    )
    (choice,) = batch.spliced
    function, other = msgspec.json.decode(choice.delta)["tool_calls"]
    assert (function["function"]["arguments"], other["custom"]["input"]) == ("", "")


@pytest.mark.parametrize("more", [{"thinking": "Hm"}, {"reasoning_text": "Hm"}, {"reasoning": None, "thinking": "Hm"}])
def test_a_field_of_another_name_is_reasoning(more: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": "x"} | more
    for result in (decoded(message(said)), streamed(chunk(said), END)):
        assert (reasoning_of(result), text_of(result)) == ("Hm", "x")


def test_a_byte_order_mark_is_no_part_of_an_answer() -> None:
    mark = b"\xef\xbb\xbf"
    assert text_of(decoded(mark + msgspec.json.encode(message({"role": "assistant", "content": "x"})))) == "x"
    assert text_of(streamed(SAID, mark + msgspec.json.encode(chunk({"content": "!"})), END)) == "Hi!"
