"""Test what the decoder makes of reasons, faults and odd data of streams."""

from __future__ import annotations

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.events import Failed, PartDelta, fold
from router_service.core.parts import Citation, Opaque, Reasoning, Text
from router_service.core.usage import Usage
from tests.router_service.providers.formats.openai_chat.test_decoder import END, ROLE, _batches
from tests.router_service.providers.formats.openai_chat.wire import (
    CONTEXT,
    FORMAT,
    calls_of,
    chunk,
    decoded,
    endpoint,
    events_of_chunks,
    folded,
    message,
    reasoning_of,
    text_of,
)


@pytest.mark.parametrize(
    ("native", "reason"),
    [("weird", "error"), ("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("abort", "error")],
)
def test_unknown_finish_reasons_are_never_stop(native, reason):
    for result in (folded(events_of_chunks(chunk({"content": "a"}), chunk({}, native))), decoded(message({}, native))):
        assert (result.choices[0].finished.reason, result.choices[0].finished.native) == (reason, native)


@pytest.mark.parametrize("more", [{}, {"choices": []}, {"choices": [{"index": 0, "delta": {"content": 1}}]}])
def test_an_error_in_groqs_own_object_ends_the_answer(more):
    """Source: ``XGroq.error`` of the ``groq`` package, an error string that says why a stream was stopped early."""
    stopped = chunk({}) | more | {"x_groq": {"id": "req_1", "error": "Over capacity"}}
    last = events_of_chunks(ROLE, chunk({"content": "a"}), stopped, b"[DONE]")[-1]
    assert isinstance(last, Failed) and last.error.message == "Over capacity"


@pytest.mark.parametrize("native", ["stop", "eos", "end_turn"])
def test_calls_are_never_a_mere_stop_in_verified_deltas(native):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    *_, batch = _batches(ROLE, chunk({"tool_calls": [call]}), chunk({}, native))
    (choice,) = batch.spliced
    assert (choice.finish_reason, choice.native_finish_reason) == ("tool_calls", native)


@pytest.mark.parametrize("data", [b"null", b"", b"  ", b"3", b"true", b'"text"', b"[]", b"{}", b'{"type":"ping"}'])
def test_events_that_say_nothing_are_ignored(data):
    decoder = FORMAT.decoder(CONTEXT)
    assert decoder.feed(None, data) is None
    events = events_of_chunks(ROLE, data, chunk({"content": "a"}), data, END)
    assert text_of(folded(events)) == "a"


@pytest.mark.parametrize("data", [b"{oops", b"<html>", b'{"choices":', b"[" * 100_000])
def test_bytes_that_are_no_event_raise_and_close_the_answer(data):
    decoder = FORMAT.decoder(CONTEXT)
    decoder.feed(None, msgspec.json.encode(ROLE))
    with pytest.raises(ApiError) as raised:
        decoder.feed(None, data)
    assert raised.value.code == 502
    assert decoder.end() == []
    assert decoder.feed(None, msgspec.json.encode(END)) is None


@pytest.mark.parametrize(
    ("error", "kind", "sentence", "code"),
    [
        (
            {"error": {"message": "slow down", "type": "rate_limit_exceeded", "code": 429}},
            "rate_limit_exceeded",
            "slow down",
            "rate_limit_exceeded",
        ),
        ({"error": {"message": "slow down", "code": "429"}}, "rate_limit_exceeded", "slow down", "429"),
        (
            {"object": "error", "message": "died", "type": "InternalServerError", "code": 500},
            "provider_unavailable",
            "died",
            "InternalServerError",
        ),
        ({"object": "error"}, "provider_unavailable", "The provider reports an error without a message", None),
        ({"error": "overloaded", "code": 503}, "provider_overloaded", "overloaded", None),
        ({"error": ["bad", {"message": "worse"}]}, "provider_unavailable", "bad; worse", None),
        ({"error": True}, "provider_unavailable", "The provider reports an error", None),
        ({"error": {"code": 529}}, "provider_overloaded", '{"code":529}', "529"),
        ({"detail": "Not authenticated", "status_code": 401}, "provider_unavailable", "Not authenticated", None),
        (
            {"detail": [{"loc": ["body", 0], "msg": "missing"}], "status": 422},
            "unprocessable",
            "body.0: missing",
            "422",
        ),
        ({"errors": [{"message": "no", "code": 400}]}, "invalid_request", "no", "400"),
        ({"errors": ["no"]}, "provider_unavailable", "no", None),
        ({"message": "model not found", "status": 404}, "provider_unavailable", "model not found", "404"),
        ([{"error": {"message": "listed", "code": 400}}], "invalid_request", "listed", "400"),
        ({"error": {"message": {"detail": "nested"}, "code": 422}}, "unprocessable", "nested", "422"),
        (
            {"error": {"message": "prompt is too long: 205668 tokens > 200000 maximum", "code": 400}},
            "context_length_exceeded",
            "prompt is too long",
            "400",
        ),
        (
            {"error": {"message": "Input exceeds the context window", "code": 422}},
            "context_length_exceeded",
            "Input exceeds",
            "422",
        ),
        (
            {"error": {"message": "Content Exists Risk", "code": "invalid_request_error"}},
            "content_policy_violation",
            "Content Exists Risk",
            "invalid_request_error",
        ),
    ],
)
def test_errors_of_every_shape_fail_the_answer(error, kind, sentence, code):
    """The error is typed and has the provider's sentence, in a stream, in a response of status 200 and in a failure."""
    *_, failed = events_of_chunks(ROLE, chunk({"content": "a"}), error)
    assert isinstance(failed, Failed)
    with pytest.raises(ApiError) as raised:
        decoded(error)
    for found in (failed.error, raised.value):
        assert found.error_type == kind
        assert sentence in found.message
        if code is not None:
            assert found.metadata["provider_code"] == code


def test_an_empty_error_beside_choices_is_none():
    result = folded(events_of_chunks(ROLE, chunk({"content": "a"}, error=None), chunk({"content": "b"}, error={}), END))
    assert text_of(result) == "ab"


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([{"prompt_tokens": 5, "completion_tokens": 2}, {"prompt_tokens": 5}], Usage(5, 2)),
        ([{"prompt_tokens": 5, "completion_tokens": 2}, {"completion_tokens": 1}], Usage(5, 2)),
        ([{"prompt_tokens": -5, "completion_tokens": 10**12}], None),
        ([{"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}], Usage(5, 2, 1)),
        (
            [
                {
                    "prompt_tokens": 5,
                    "completion_tokens": 2,
                    "cache_read_input_tokens": 3,
                    "cache_creation_input_tokens": 1,
                }
            ],
            Usage(5, 2, 3, 1),
        ),
        (
            [
                {
                    "prompt_tokens": 5,
                    "completion_tokens": 2,
                    "prompt_tokens_details": {"cached_tokens": 0},
                    "prompt_cache_hit_tokens": 3,
                }
            ],
            Usage(5, 2, 3),
        ),
        (
            [{"prompt_tokens": 5, "completion_tokens": 2, "reasoning_tokens": 4, "total_tokens": 11}],
            Usage(5, 6, None, None, 4),
        ),
        (
            [
                {
                    "prompt_tokens": 5,
                    "completion_tokens": 6,
                    "total_tokens": 11,
                    "completion_tokens_details": {"reasoning_tokens": 4},
                }
            ],
            Usage(5, 6, None, None, 4),
        ),
        ([{"prompt_tokens": True, "completion_tokens": "x"}], None),
        (["none", 3, []], None),
    ],
)
def test_counts_are_the_last_valid_and_never_lower(usages, expected):
    chunks = [chunk({"content": "a"}, usage=usage) for usage in usages]
    alone = [{"choices": [], "usage": usage} for usage in usages]
    in_choice = [{"choices": [{"index": 0, "delta": {}, "usage": usage}]} for usage in usages]
    groq = [chunk({}, x_groq={"usage": usage}) for usage in usages]
    for found in (chunks, alone, in_choice, groq):
        assert folded(events_of_chunks(ROLE, *found, END)).usage == expected
    assert decoded(message({}, usage=usages[0])).usage == (
        expected if len(usages) == 1 else folded(events_of_chunks(ROLE, alone[0], END)).usage
    )


def test_usage_of_a_stream_that_breaks_is_reported():
    events = events_of_chunks(
        ROLE, chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}), done=False
    )
    result = folded(events)
    assert result.error is not None and result.usage == Usage(5, 1)


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["\\ud83d", "\\udea2!"], "🚢!"),
        (["\\ud83d", "x"], "\ufffdx"),
        (["\\ud83d"], "\ufffd"),
        (["\\udea2"], "\ufffd"),
        (["a\\ud83d", "", "\\udca9"], "a💩"),
        ([b"\xe4\xbd", b"\xa0"], "你"),
        ([b"\xe4", b"\xbd", b"\xa0b"], "你b"),
        ([b"\xff"], "\ufffd"),
        ([b"\xe4\xbd", "x"], "\ufffdx"),
    ],
)
@pytest.mark.parametrize("field", ["content", "refusal", "reasoning", "reasoning_content"])
def test_halves_of_characters_meet_or_are_replaced(texts, joined, field):
    """Whatever ends a text, what goes out is Unicode and loses nothing that the next delta completes."""
    raws = [text if isinstance(text, bytes) else text.encode() for text in texts]
    chunks = [b'{"choices":[{"index":0,"delta":{"%s":"%s"}}]}' % (field.encode(), raw) for raw in raws]
    (choice,) = folded(events_of_chunks(ROLE, *chunks, END)).choices
    assert "".join(part.text for part in choice.parts) == joined
    joined.encode()


def test_halves_in_arguments_meet():
    piece = b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,%s"%s":"%s"}}]}}]}'
    first = piece % (b'"id":"a","function":{"name":"f",', b"arguments", b"\\ud83d")
    second = piece % (b'"function":{', b"arguments", b"\\udea2")
    assert calls_of(folded(events_of_chunks(ROLE, first, second, END))) == [("a", "f", "🚢")]
    assert calls_of(folded(events_of_chunks(ROLE, first, END))) == [("a", "f", "")]


def test_two_choices_in_one_chunk_are_two_choices():
    both = {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]}
    done = {
        "choices": [
            {"index": 0, "delta": {}, "finish_reason": "stop"},
            {"index": 1, "delta": {}, "finish_reason": "length"},
        ]
    }
    result = folded(events_of_chunks(both, both, done))
    assert [text_of(result, 0), text_of(result, 1)] == ["aa", "bb"]


def test_a_choice_that_never_finishes_fails_the_answer():
    both = {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]}
    result = folded(events_of_chunks(both, END))
    assert result.error is not None and text_of(result, 0) == "a"


def test_what_comes_after_a_finish_reason_is_ignored():
    result = folded(events_of_chunks(chunk({"content": "a"}), END, END, chunk({"content": "late"}), chunk({"x": 1})))
    assert text_of(result) == "a" and result.error is None
    assert FORMAT.decoder(CONTEXT).end()[0].error.error_type == "provider_unavailable"


def test_nothing_follows_the_end():
    decoder = FORMAT.decoder(CONTEXT)
    for raw in (ROLE, END):
        decoder.feed(None, msgspec.json.encode(raw)).events()
    assert len(decoder.feed(None, b"[DONE]").events()) == 1
    assert decoder.feed(None, b"[DONE]") is None
    assert decoder.end() == []


def test_reasoning_details_of_a_stream_merge_by_index():
    """Texts of one index are one part, with the signature that comes last; encrypted and unknown details are kept."""
    details = [
        {"type": "reasoning.text", "text": "I ", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "think", "index": 0},
        {"type": "reasoning.text", "signature": "sig", "index": 0},
        {"type": "reasoning.encrypted", "data": "xyz", "id": "rs_1", "index": 1},
        {"type": "reasoning.encrypted", "data": ""},
        {"type": "reasoning.summary", "summary": "brief", "index": 2},
        {"type": "reasoning.server_tool_call", "name": "search"},
    ]
    chunks = [chunk({"reasoning_details": [detail]}) for detail in details]
    result = folded(events_of_chunks(ROLE, *chunks, chunk({"content": "x"}), END))
    text, encrypted, summary, opaque, said = result.choices[0].parts
    assert (text.text, text.signature, text.format, text.origin) == (
        "I think",
        "sig",
        "anthropic-claude-v1",
        CONTEXT.origin,
    )
    assert (encrypted.encrypted, encrypted.item_id) == ("xyz", "rs_1")
    assert summary == Reasoning(text="brief", summary=True, origin=CONTEXT.origin)
    assert isinstance(opaque, Opaque) and b"server_tool_call" in bytes(opaque.raw)
    assert said == Text(text="x")
    whole = decoded(message({"content": "x", "reasoning_details": details}))
    assert [type(part) for part in whole.choices[0].parts] == [type(part) for part in result.choices[0].parts]


def test_readable_reasoning_beside_encrypted_details_is_kept():
    detail = {"type": "reasoning.encrypted", "data": "xyz"}
    result = decoded(message({"reasoning": "I think", "reasoning_details": [detail]}))
    assert reasoning_of(result) == "I think"
    assert len(result.choices[0].parts) == 2


def test_annotations_without_text_or_address_are_kept():
    annotation = {"type": "file_citation", "file_citation": {"file_id": "f"}}
    (part,) = decoded(message({"annotations": [annotation]})).choices[0].parts
    (citation,) = part.citations
    assert isinstance(citation, Citation) and citation.url is None
    assert msgspec.json.decode(citation.raw) == annotation


def test_logprobs_without_text_go_with_the_open_text():
    token = {"token": "a", "logprob": -0.1, "bytes": None, "vendor": 1}
    late = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": {"content": [token]}}]}
    result = folded(events_of_chunks(chunk({"content": "a"}), late))
    (raw,) = result.choices[0].logprobs
    assert msgspec.json.decode(raw)["content"] == [{"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": None}]
    alone = {"choices": [{"index": 0, "delta": {"content": "b"}, "logprobs": {"content": [token]}}]}
    batch = _batches(ROLE, alone)[1]
    assert b"vendor" not in bytes(batch.spliced[0].logprobs)


def test_undocumented_fields_come_with_the_first_delta():
    events = events_of_chunks(chunk({"content": "a", "vendor": 1}), END)
    (delta,) = [event for event in events if isinstance(event, PartDelta)]
    assert delta.extras == {"openai_chat": {"vendor": 1}}


def test_images_in_lists_of_content_and_by_address_are_kept():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    result = decoded(message({"content": [{"type": "text", "text": "a"}, image, {"type": "other"}], "images": "none"}))
    text, media = result.choices[0].parts
    assert (text.text, media.url) == ("a", "https://example.com/a.png")
    assert len(decoded(message({"content": [image], "images": [image]})).choices[0].parts) == 2


def test_two_choices_with_one_index_are_both_kept():
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
    assert len(decoded({"choices": [choice, choice]}).choices) == 2


def test_deep_and_broken_responses_are_errors():
    for body in (b"[" * 100_000, b'{"choices":{}}', b"3", b'{"choices":[3]}', b"{}"):
        with pytest.raises(ApiError) as raised:
            FORMAT.decode(body, CONTEXT)
        assert raised.value.code == 502


def test_a_failure_before_the_beginning_is_a_whole_answer():
    assert fold(events_of_chunks({"error": "no"})).error.message == "no"


def test_a_call_that_is_never_named_is_left_out():
    events = events_of_chunks(ROLE, chunk({"tool_calls": [{"index": 0, "id": "call_1"}]}), chunk({}, "tool_calls"))
    assert calls_of(folded(events)) == []


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_a_call_begins_with_its_name(index):
    """Clients read id and name of the first delta of a call alone."""
    begun, named = {**index, "id": "call_1", "type": "function"}, {**index, "function": {"name": "f"}}
    said = {**index, "function": {"arguments": "{}"}}
    batches = _batches(ROLE, *(chunk({"tool_calls": [piece]}) for piece in (begun, named, said)))
    deltas = [msgspec.json.decode(one.delta) for batch in batches for one in batch.spliced]
    first, second = (call for delta in deltas for call in delta.get("tool_calls", ()))
    assert first == {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert second == {"index": 0, "function": {"arguments": "{}"}}


def test_damaged_events_of_any_depth_are_read_or_are_no_events():
    """JSON can be read to a depth at which it can no longer be written."""
    refused = 0
    for depth in range(700, 1050):
        decoder = FORMAT.decoder(CONTEXT)
        decoder.feed(None, msgspec.json.encode(ROLE))
        field = b"[" * depth + b"]" * depth
        try:
            decoder.feed(None, b'{"choices":[{"index":0,"delta":{"content":"\xff"}}],"vendor":%s}' % field)
        except ApiError as error:
            assert error.code == 502
            refused += 1
    assert 0 < refused < 350


def test_the_text_of_an_error_is_told():
    error = FORMAT.error(400, b'"no such thing"', {}, endpoint())
    assert (error.code, error.message) == (400, "Provider returned error: no such thing")
