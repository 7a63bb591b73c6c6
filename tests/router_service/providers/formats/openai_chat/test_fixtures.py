"""Decodes every golden fixture of the chat format, and judges the result by its content."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.core.events import Ended, Failed, Folding
from router_service.core.parts import Media, Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage
from tests.router_service.providers.formats.openai_chat.wire import (
    CASES,
    CONTEXT,
    FORMAT,
    calls_of,
    case_context,
    case_endpoint,
    events_of_stream,
    folded,
    plain_parts,
    reasoning_of,
    text_of,
)

STREAMS = sorted(name for name, case in CASES.items() if case.stream is not None)
RESPONSES = sorted(name for name, case in CASES.items() if case.response is not None and case.status == 200)
ERRORS = sorted(name for name, case in CASES.items() if case.status != 200)
# The two answers of these cases differ on purpose.
DIFFERENT = {"audio_out", "empty_answer", "odd_choices", "odd_usage", "reasoning_disabled"}
GREETING = "Good morning! Ça va? 你好 🚢"


def _stream(name: str):
    stream = CASES[name].stream
    assert stream is not None
    complete = CASES[name].ending == "complete"
    return folded(events_of_stream(stream, complete=complete, context=case_context(CASES[name])))


def _response(name: str):
    response = CASES[name].response
    assert response is not None
    return folded(FORMAT.decode(response, case_context(CASES[name])))


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_keeps_the_grammar_and_ends_once(name):
    """No fixture makes the decoder break the grammar of events."""
    case = CASES[name]
    events = events_of_stream(case.stream, complete=case.ending == "complete", context=case_context(case))
    folded(events)
    assert sum(isinstance(event, Ended | Failed) for event in events) == 1


@pytest.mark.parametrize("name", sorted(set(STREAMS) & set(RESPONSES) - DIFFERENT))
def test_a_stream_says_what_the_response_says(name):
    """The two ways of one answer fold to the same parts, finish reasons and counts."""
    streamed = _stream(name)
    try:
        whole = _response(name)
    except ApiError:
        assert streamed.error is not None
        return
    assert plain_parts(streamed) == plain_parts(whole)
    assert streamed.usage == whole.usage
    assert (streamed.error is None) == (whole.error is None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_a_stream_cut_anywhere_keeps_the_grammar(data):
    """Wherever the bytes of a stream end, the answer ends exactly once, and a cut is never a success without reason."""
    name = data.draw(st.sampled_from(STREAMS))
    stream = CASES[name].stream
    cut = data.draw(st.integers(0, len(stream)))
    events = events_of_stream(stream[:cut], complete=data.draw(st.booleans()), context=case_context(CASES[name]))
    folding = Folding()
    for event in events:
        folding.add(event)
    assert folding.over
    assert sum(isinstance(event, Ended | Failed) for event in events) == 1


@pytest.mark.parametrize(
    "name",
    [
        "plain_text",
        "stream_azure",
        "stream_crlf",
        "stream_keep_alive",
        "stream_no_space",
        "stream_null_data",
        "stream_obfuscation",
        "stream_event_names",
        "stream_without_done",
        "finish_empty_string",
        "usage_continuous",
    ],
)
def test_streams_that_say_the_greeting(name):
    result = _stream(name)
    assert text_of(result) == GREETING
    assert result.error is None
    assert result.choices[0].finished.reason == "stop"
    assert result.usage.prompt_tokens == 19 and result.usage.completion_tokens == 10


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("finish_content_filter", "content_filter"),
        ("finish_eos", "stop"),
        ("finish_error", "error"),
        ("finish_function_call", "tool_calls"),
        ("finish_insufficient_resource", "error"),
        ("finish_length", "length"),
        ("finish_model_length", "length"),
        ("finish_sensitive", "content_filter"),
        ("tools_finish_stop", "tool_calls"),
    ],
)
def test_finish_reasons_are_typed_and_the_native_one_is_kept(name, reason):
    for result in (_stream(name), _response(name)):
        finished = result.choices[0].finished
        assert finished.reason == reason
        assert finished.native and f'"finish_reason":"{finished.native}"' in CASES[name].stream.decode()


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("usage_cache_hits", Usage(1000, 1, 900)),
        ("usage_details", Usage(2000, 300, 1024, 100, 128, None, 10, 10, 5)),
        ("usage_fractional", Usage(14417, 57)),
        ("usage_in_choice", Usage(1000, 50, 900)),
        ("usage_in_x_groq", Usage(19, 10)),
        ("usage_negative", Usage(19, 0)),
        ("usage_null_choices", Usage(19, 10, 0, None, 0)),
        ("usage_partial_later", Usage(19, 10, reported_nano=100_000)),
        ("usage_reasoning_on_top", Usage(12, 387, None, None, 386)),
        ("usage_strings", Usage(19, 10)),
        ("usage_top_level_cached", Usage(1000000, 1, 1000000)),
        ("usage_absent", None),
        ("usage_null", None),
    ],
)
def test_usage_is_read_from_every_place(name, usage):
    assert _stream(name).usage == usage
    if name in RESPONSES:
        assert _response(name).usage == usage


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("stream_error", "rate_limit_exceeded", "slow down"),
        ("stream_error_code", "rate_limit_exceeded", "The server had an error while processing your request."),
        ("stream_error_first", "provider_unavailable", "The engine is currently overloaded, please try again later."),
        ("stream_error_flat", "provider_unavailable", "engine died"),
        ("stream_error_with_choices", "provider_unavailable", "Provider disconnected"),
        ("stream_without_finish", "provider_unavailable", "The provider's stream ended before it was finished"),
        ("stream_closed_early", "provider_unavailable", "The provider's stream ended before it was finished"),
        ("stream_cut", "provider_unavailable", "The provider's stream ended before it was finished"),
        ("stream_cut_first", "provider_unavailable", "The provider's stream ended before it was finished"),
        ("stream_empty", "provider_unavailable", "The provider's stream ended before it was finished"),
        ("stream_garbage", "provider_unavailable", "The provider's stream is not a chat stream"),
        ("no_choices", "provider_unavailable", "The provider's stream ended before it was finished"),
    ],
)
def test_broken_streams_fail_with_the_providers_sentence(name, kind, sentence):
    error = _stream(name).error
    assert (error.error_type, error.message) == (kind, sentence)


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("error_in_200", "rate_limit_exceeded", "Too Many Requests"),
        ("not_json", "provider_unavailable", "The provider's answer is not a chat completion"),
        ("truncated_json", "provider_unavailable", "The provider's answer is not a chat completion"),
        ("no_choices", "provider_unavailable", "The provider's answer has no choices"),
        ("choice_without_message", "provider_unavailable", "The provider's answer has no choices"),
    ],
)
def test_responses_that_are_no_answer_are_errors(name, kind, sentence):
    with pytest.raises(ApiError) as raised:
        _response(name)
    assert (raised.value.error_type, raised.value.message) == (kind, sentence)


@pytest.mark.parametrize("name", ["finish_null", "odd_choices", "empty_answer"])
def test_a_response_without_a_finish_reason_is_a_failure(name):
    assert _response(name).error.error_type == "provider_unavailable"


@pytest.mark.parametrize(
    ("name", "kind", "sentence", "code"),
    [
        ("error_400", "invalid_request", "Invalid value for 'temperature'", "decimal_above_max_value"),
        ("error_401", "provider_unavailable", "Incorrect API key provided", "invalid_api_key"),
        ("error_402", "provider_unavailable", "Insufficient Balance", "invalid_request_error"),
        ("error_403", "permission_denied", "Country, region", "unsupported_country_region_territory"),
        ("error_404", "provider_unavailable", "does not exist", "model_not_found"),
        ("error_408", "timeout", "Request timeout", "timeout_error"),
        ("error_413", "payload_too_large", "Request Entity Too Large", "request_too_large"),
        ("error_422", "unprocessable", "body.messages.1.assistant.refusal: Extra inputs", "invalid_request_error"),
        ("error_429", "rate_limit_exceeded", "Rate limit reached", "rate_limit_exceeded"),
        ("error_429_quota", "provider_unavailable", "exceeded your current quota", "insufficient_quota"),
        ("error_429_slow_down", "rate_limit_exceeded", "Slow down", "slow_down"),
        ("error_500", "provider_unavailable", "The server had an error", "server_error"),
        ("error_502_html", "provider_unavailable", "Provider returned error 502", None),
        ("error_503", "provider_overloaded", "currently overloaded", "server_is_overloaded"),
        ("error_504_empty", "timeout", "Provider returned error 504", None),
        ("error_529", "provider_overloaded", "Overloaded", "overloaded_error"),
        ("error_content_policy", "content_policy_violation", "content management policy", "content_filter"),
        ("error_context_overflow", "context_length_exceeded", "maximum context length", "context_length_exceeded"),
        ("error_context_overflow_flat", "context_length_exceeded", "maximum context length", "BadRequestError"),
        ("error_detail", "invalid_request", "messages: field required", None),
        ("error_azure_key", "provider_unavailable", "invalid subscription key", "401"),
        ("error_azure_deployment", "provider_unavailable", "deployment for this resource", "DeploymentNotFound"),
        ("error_cloudflare_model", "provider_unavailable", "No such model", "5007"),
        ("error_cloudflare_capacity", "rate_limit_exceeded", "No more data centers", "3040"),
        ("error_list", "invalid_request", "API key not valid", "400"),
        ("error_string", "invalid_request", "model is loading", None),
    ],
)
def test_http_failures_are_typed_with_the_providers_sentence(name, kind, sentence, code):
    case = CASES[name]
    error = FORMAT.error(case.status, case.response, case.headers, case_endpoint(case))
    assert error.error_type == kind
    assert sentence in error.message
    assert error.metadata.get("provider_code") == code
    assert error.upstream_status == case.status
    assert error.metadata["raw"] == case.response.decode()[:2000]


def test_every_http_failure_fixture_is_an_error():
    for name in ERRORS:
        case = CASES[name]
        assert FORMAT.error(case.status, case.response, case.headers, case_endpoint(case)).message


def test_retry_after_is_read_in_seconds():
    assert _retry_after("error_429") == 20
    assert _retry_after("error_503") == 3
    assert _retry_after("error_500") is None


def _retry_after(name: str):
    case = CASES[name]
    return FORMAT.error(case.status, case.response, case.headers, case_endpoint(case)).retry_after


def test_parallel_tool_calls_follow_their_text():
    result = _stream("tools_parallel")
    assert text_of(result) == "Let me look."
    assert calls_of(result) == [
        ("call_a", "get_weather", '{"place":"Genoa"}'),
        ("call_b", "get_weather", '{"place":"Pisa"}'),
    ]


def test_tool_calls_without_index_have_one_id():
    result = _stream("tools_without_index")
    assert calls_of(result) == [("call_1", "get_weather", '{"place":"Genoa"}')]


def test_arguments_that_are_an_object_become_text():
    assert calls_of(_response("tools_arguments_object")) == [("call_1", "get_weather", '{"place":"Genoa"}')]


def test_custom_tool_calls_keep_their_text():
    for result in (_stream("tools_custom"), _response("tools_custom")):
        (part,) = result.choices[0].parts
        assert isinstance(part, ToolCall)
        assert (part.kind, part.call_id, part.name, part.arguments) == ("custom", "call_c", "shell", "ls")


def test_the_deprecated_function_call_is_a_tool_call_with_an_id():
    for result in (_stream("finish_function_call"), _response("finish_function_call")):
        ((call_id, name, arguments),) = calls_of(result)
        assert call_id and (name, arguments) == ("get_weather", "{}")


@pytest.mark.parametrize("name", ["reasoning_both", "reasoning_content", "content_list"])
def test_reasoning_is_apart_from_text(name):
    for result in (_stream(name), _response(name)):
        assert (reasoning_of(result), text_of(result)) == ("The user greets.", "Hello!")
        assert [type(part) for part in result.choices[0].parts] == [Reasoning, Text]


def test_reasoning_details_are_read_once_and_keep_their_origin():
    for result in (_stream("reasoning_details"), _response("reasoning_details")):
        reasoning, text = result.choices[0].parts
        assert isinstance(reasoning, Reasoning)
        assert (reasoning.text, reasoning.format, reasoning.origin) == ("Greets.", "unknown", CONTEXT.origin)
        assert text.text == "Hello!"


def test_annotations_become_citations_and_keep_their_json():
    for result in (_stream("annotations"), _response("annotations")):
        (text,) = result.choices[0].parts
        (citation,) = text.citations
        assert (citation.url, citation.title, citation.start, citation.end) == ("https://example.com/", "Example", 0, 4)
        assert citation.dialect == "openai_chat"
        assert msgspec.json.decode(citation.raw)["url_citation"]["end_index"] == 4


def test_images_of_an_answer_are_media():
    for result in (_stream("images_out"), _response("images_out")):
        text, image = result.choices[0].parts
        assert text.text == "Here."
        assert isinstance(image, Media)
        assert (image.kind, image.media_type) == ("image", "image/png") and image.data.startswith("iVBOR")


def test_audio_of_an_answer_is_one_part_with_its_transcript():
    for result, transcript in ((_stream("audio_out"), "Hi"), (_response("audio_out"), "Hi.")):
        (audio,) = result.choices[0].parts
        assert isinstance(audio, Media)
        assert (audio.kind, audio.item_id, audio.data) == ("audio", "audio_1", "UklGRg==")
        assert audio.transcript.startswith(transcript)
        assert audio.origin == CONTEXT.origin


def test_a_refusal_is_a_part_of_its_own():
    for result in (_stream("refusal"), _response("refusal")):
        (part,) = result.choices[0].parts
        assert isinstance(part, Refusal) and part.text == "I'm sorry, I cannot assist with that request."


def test_choices_interleave():
    result = _stream("several_choices")
    assert [text_of(result, 0), text_of(result, 1)] == ["Hello!", "Hey"]
    assert [choice.finished.reason for choice in result.choices] == ["stop", "length"]


def test_logprobs_keep_their_json():
    streamed = _stream("logprobs").choices[0].logprobs
    tokens = [token["token"] for raw in streamed for token in msgspec.json.decode(raw)["content"]]
    assert tokens == ["Hello", "!"]
    (whole,) = _response("logprobs").choices[0].logprobs
    assert [token["token"] for token in msgspec.json.decode(whole)["content"]] == tokens


@pytest.mark.parametrize("name", ["odd_logprobs", "logprobs_not_finite"])
def test_logprobs_that_no_client_can_read_are_left_out(name):
    result = _response(name)
    assert text_of(result) == "Hello!"
    assert result.choices[0].logprobs == []


def test_characters_cut_apart_are_joined_or_replaced():
    assert text_of(_stream("stream_broken_utf8")) == "x\u2019y"
    assert text_of(_stream("stream_lone_surrogate")) == "\U0001f6a2 ship"
    assert text_of(_response("broken_text")) == "A\ufffdB\ufffd"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("odd_body_fields", "Hello!"),
        ("odd_message_fields", "Hello!"),
        ("odd_usage", "Hello!"),
        ("content_object", '{"a":"b"}'),
        ("content_strings", "Hello!"),
        ("stream_odd_types", "Hello!"),
        ("stream_lines_of_data", "Hello!"),
        ("odd_types", "Hello!"),
    ],
)
def test_odd_types_do_not_cost_an_answer(name, text):
    if name in STREAMS:
        assert text_of(_stream(name)) == text and _stream(name).error is None
    if name in RESPONSES:
        assert text_of(_response(name)) == text and _response(name).error is None


def test_the_beginning_names_the_answer():
    began = _response("plain_text").began
    assert began.upstream_id == "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"
    assert began.service_tier == "default"
    assert began.extras == {"openai_chat": {"system_fingerprint": "fp_44709d6fcb"}}
    assert _stream("service_tier").began.service_tier == "flex"
    assert _stream("odd_body_fields").began.upstream_id == "123"


def test_a_response_to_a_streamed_call_decodes_to_the_events_of_a_stream():
    assert text_of(_response("json_to_stream")) == GREETING
    decoder = FORMAT.decoder(CONTEXT)
    batch = decoder.feed(None, CASES["json_to_stream"].response.replace(b"\n", b""))
    assert text_of(folded(batch.events() + decoder.end())) == GREETING


def test_reasoning_within_tags_is_no_text():
    for result in (_stream("think_tags"), _response("think_tags")):
        assert (reasoning_of(result), text_of(result)) == ("I greet them.\n", "Hello!")
