"""Test that answers become the parts, reasons, counts, citations and errors that they contain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.errors import ApiError
from router_service.core.events import Failed, Metered, Result, fold
from router_service.core.generation import OutputFormat
from router_service.core.parts import Media, Opaque, Reasoning, Text, ToolCall
from router_service.core.usage import Usage
from router_service.providers.formats.gemini.candidate_reader import FINISH_REASONS
from router_service.providers.formats.gemini.citations import MAX_CITATIONS
from router_service.providers.refused_tokens import refuses_tokens
from router_service.providers.wire_format import DecodeContext
from tests.router_service.providers.formats.asked import ask, function, user
from tests.router_service.providers.formats.gemini.gemini_world import (
    CONTEXT,
    FORMAT,
    ORIGIN,
    PRO,
    SEARCHING,
    chunks,
    encode,
    endpoint,
    events_of,
    read,
    said,
)
from tests.wire_cases import load_cases

CASES = {case.name: case for case in load_cases("gemini")}


def response(name: str, context: DecodeContext = CONTEXT) -> Result:
    body = CASES[name].response
    assert body is not None
    return fold(FORMAT.decode(body, context))


def parts(name: str, context: DecodeContext = CONTEXT) -> list[Any]:
    return list(response(name, context).choices[0].parts)


def test_parts_know_their_origin_and_their_signatures() -> None:
    """Thoughts are reasoning, a signature of a text is reasoning after it, and one of a call is the call's own."""
    thought, text, seal = parts("thoughts")
    assert isinstance(thought, Reasoning) and isinstance(text, Text) and isinstance(seal, Reasoning)
    assert thought.text.endswith("tide.") and text.text == "It turns." and seal.encrypted and not seal.text
    assert {part.origin for part in (thought, text, seal)} == {ORIGIN}
    assert {thought.format, seal.format} == {"google-gemini-v1"}
    text, first, second = parts("tool_calls_parallel")
    assert isinstance(first, ToolCall) and isinstance(second, ToolCall)
    assert (first.call_id, second.call_id, bool(first.signature), second.signature) == ("fc-1", "fc-2", True, None)
    (made,) = parts("tool_call")
    assert isinstance(made, ToolCall) and made.call_id.startswith("call_") and made.arguments == '{"place":"Genoa"}'
    assert response("plain_text").began.upstream_id == "mVwsaQ68a1"


def test_a_signed_thought_keeps_its_signature() -> None:
    """It ends the thought, whether it comes with its text or after it."""
    whole = read(said({"text": "Look.", "thought": True, "thoughtSignature": "c2ln"}, {"text": "High."}))
    cut = chunks(
        said({"text": "Look", "thought": True}, finish=None),
        said({"text": ".", "thought": True, "thoughtSignature": "c2ln"}, {"text": "High."}),
    )
    assert whole.choices == cut.choices
    first = whole.choices[0].parts[0]
    assert isinstance(first, Reasoning) and (first.text, first.signature) == ("Look.", "c2ln")
    alone = read(said({"text": "", "thought": True, "thoughtSignature": "c2ln"})).choices[0].parts[0]
    assert isinstance(alone, Reasoning) and alone.encrypted == "c2ln"
    nameless = read(said({"functionCall": {}, "thoughtSignature": "c2ln"})).choices[0].parts[0]
    assert isinstance(nameless, Reasoning) and nameless.encrypted == "c2ln"


def test_names_and_custom_tools_are_the_clients() -> None:
    context = DecodeContext("gen-1", ORIGIN, tool_names={"_1": "1"}, custom_tools=frozenset({"sail"}))
    calls = said(
        {"functionCall": {"name": "_1", "args": {}}}, {"functionCall": {"name": "sail", "args": {"input": "to Genoa"}}}
    )
    first, second = read(calls, context).choices[0].parts
    assert isinstance(first, ToolCall) and isinstance(second, ToolCall)
    assert first.name == "1" and (second.kind, second.arguments) == ("custom", "to Genoa")
    assert first.call_id != second.call_id


def test_images_are_media_and_drafts_are_none_of_the_answer() -> None:
    _, image = parts("image_out")
    assert isinstance(image, Media) and image.kind == "image" and image.data and image.media_type == "image/png"
    assert [type(part) for part in parts("image_signed")] == [Reasoning, Text, Reasoning, Media, Reasoning]
    kinds = {"audio/wav": "audio", "video/mp4": "video", "application/pdf": "document", "": "file"}
    for media_type, kind in kinds.items():
        (found,) = read(said({"inlineData": {"mimeType": media_type, "data": "AAAA"}})).choices[0].parts
        assert isinstance(found, Media) and found.kind == kind


def test_hosted_calls_are_pairs_with_a_text() -> None:
    _, code, result, _ = parts("code_execution")
    assert isinstance(code, Opaque) and isinstance(result, Opaque)
    assert code.text == 'code_execution({"code":"print(6 * 7)"})' and result.text == "42\n"
    assert json.loads(bytes(code.raw))["thoughtSignature"]
    tool = {"toolCall": {"toolType": "URL_CONTEXT", "args": {"url": "u"}}}
    called, answered = read(said(tool, {"toolResponse": {}})).choices[0].parts
    assert isinstance(called, Opaque) and isinstance(answered, Opaque)
    assert called.text == 'url_context({"url":"u"})' and answered.text is None


@pytest.mark.parametrize(
    "native", [*FINISH_REASONS, "OTHER", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "NEW"]
)
def test_finish_reasons(native: str) -> None:
    """Each end has its reason, and an unknown one is an error, never a success."""
    finished = read(said({"text": "x"}, finish=native, finishMessage="why")).choices[0].finished
    assert finished is not None and finished.native == native and finished.details == {"finishMessage": "why"}
    assert finished.reason == FINISH_REASONS.get(native, "error")
    called = read(said({"functionCall": {"name": "f"}}, finish=native)).choices[0].finished
    assert called is not None and called.reason == ("tool_calls" if native == "STOP" else finished.reason)


def test_counts() -> None:
    """Thoughts are counted beside candidates, and what tools have read beside the prompt."""
    assert response("code_execution").usage == Usage(prompt_tokens=36, completion_tokens=15, reasoning_tokens=7)
    assert response("usage_cached").usage == Usage(
        prompt_tokens=25, completion_tokens=15, reasoning_tokens=7, cached_tokens=20
    )
    media = response("media_in").usage
    assert media is not None and (media.audio_prompt_tokens, media.image_prompt_tokens) == (12, 8)
    drawn = response("image_out").usage
    assert drawn is not None and (drawn.completion_tokens, drawn.image_completion_tokens) == (1300, 1290)
    inside = {"promptTokenCount": 5, "candidatesTokenCount": 9, "thoughtsTokenCount": 4, "totalTokenCount": 14}
    found = read(said({"text": "x"}) | {"usageMetadata": inside}).usage
    assert found == Usage(prompt_tokens=5, completion_tokens=9, reasoning_tokens=4)
    metered = [
        event for event in FORMAT.decode(CASES["usage_traffic"].response or b"", CONTEXT) if isinstance(event, Metered)
    ]
    assert [event.service_tier for event in metered] == ["flex"]
    tier = said({"text": "x"}) | {"usageMetadata": {"promptTokenCount": 1, "serviceTier": "PRIORITY"}}
    assert read(tier).began.service_tier == "priority"


def cited(metadata: Any, *texts: str, **fields: Any) -> list[Any]:
    """Return the citations of the texts of an answer."""
    body = said(*({"text": text} for text in texts), groundingMetadata=metadata, **fields)
    found = read(body, SEARCHING).choices[0].parts
    return [
        (one.url, one.title, one.start, one.end) for part in found if isinstance(part, Text) for one in part.citations
    ]


WEB = [{"web": {"uri": "https://a.example", "title": "A"}}, {"maps": {"uri": "https://b.example"}}, {"web": 7}]


def support(indices: Any, **segment: Any) -> dict[str, Any]:
    """Return the support of a segment."""
    return {"segment": segment, "groundingChunkIndices": indices}


@pytest.mark.parametrize(
    ("supports", "wanted"),
    [
        ([support([0], startIndex=0, endIndex=5)], ("https://a.example", "A", 0, 5)),
        ([support([0], endIndex=99, text="turn")], ("https://a.example", "A", 9, 13)),
        ([support([0], startIndex=0, endIndex=4, text="turn")], ("https://a.example", "A", 9, 13)),
        ([support([0], text="nowhere")], ("https://a.example", "A", None, None)),
        ([support([0], startIndex=-1, endIndex=True)], ("https://a.example", "A", None, None)),
        ([support([0, 9, "x", True])], ("https://a.example", "A", None, None)),
    ],
)
def test_sources_cite_the_words_of_their_segment(supports: list[Any], wanted: Any) -> None:
    """Positions that do not fit the words are found again by them; a source that nothing refers to cites the text."""
    found = cited({"groundingChunks": WEB, "groundingSupports": supports}, "Tides do turn.")
    assert found == [wanted, ("https://b.example", None, None, None)]


def test_sources_without_a_text_and_far_too_many() -> None:
    assert cited({"groundingChunks": WEB}) == []
    many = {"groundingChunks": WEB, "groundingSupports": [support([0])] * (MAX_CITATIONS + 9)}
    assert len(cited(many, "x")) == MAX_CITATIONS
    assert cited({"groundingChunks": 7, "groundingSupports": {}}, "x") == []


def test_recitations_and_places_in_characters() -> None:
    """Positions count bytes in UTF-8."""
    where = {"citationSources": [{"startIndex": 3, "endIndex": 6, "uri": "https://c.example"}, {"uri": 7}]}
    body = said({"text": "à é b"}, citationMetadata=where)
    (part,) = read(body, SEARCHING).choices[0].parts
    assert isinstance(part, Text)
    assert [(one.url, one.start, one.end) for one in part.citations] == [("https://c.example", 2, 4)]
    beyond = {"citations": [{"endIndex": 99, "uri": "https://c.example"}]}
    (part,) = read(said({"text": "à"}, citationMetadata=beyond), SEARCHING).choices[0].parts
    assert isinstance(part, Text) and part.citations[0].end is None


def test_searches_are_counted_as_they_are_billed() -> None:
    """By query from Gemini 3 on, by prompt before."""
    body = said({"text": "x"}, groundingMetadata={"webSearchQueries": ["a", "b", "", 7]})
    for model, count in (("gemini-3-flash-preview", 2), ("gemini-2.5-pro", 1), (None, 2)):
        usage = read(body | {"modelVersion": model}, SEARCHING).usage
        assert usage is not None and usage.web_searches == count


def test_log_probabilities_are_those_of_the_chat_dialect() -> None:
    (found,) = response("logprobs").choices[0].logprobs
    first, second = json.loads(bytes(found))["content"]
    assert (first["token"], first["logprob"], bytes(first["bytes"])) == ("Good", -0.25, b"Good")
    assert [one["token"] for one in second["top_logprobs"]] == [" morning", " day"]
    for odd in (7, {"chosenCandidates": 7}, {"chosenCandidates": [7, {"token": "x", "logProbability": True}]}):
        assert read(said({"text": "x"}, logprobsResult=odd)).choices[0].logprobs == []


FAILURES = {
    "blocked_prompt": ("content_policy_violation", "The provider blocked the prompt (PROHIBITED_CONTENT)"),
    "error_in_200": ("provider_overloaded", "The model is overloaded."),
    "not_json": ("provider_unavailable", "not of the generateContent format"),
    "no_candidates": ("provider_unavailable", "ended before its answer was complete"),
}


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_nothing_that_failed_is_a_success(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        response(name)
    assert raised.value.error_type == FAILURES[name][0] and FAILURES[name][1] in raised.value.message


@pytest.mark.parametrize("body", [[], {}, 7, "x", {"candidates": [7]}, {"candidates": [{"index": 3}]}])
def test_what_is_no_answer(body: Any) -> None:
    with pytest.raises(ApiError):
        read(body)


ERRORS = {
    "error_400": ("invalid_request", None),
    "error_400_list": ("invalid_request", None),
    "error_401": ("provider_unavailable", None),
    "error_403": ("permission_denied", None),
    "error_404": ("provider_unavailable", None),
    "error_429": ("rate_limit_exceeded", 34.074824224),
    "error_500": ("provider_unavailable", None),
    "error_503": ("provider_overloaded", None),
    "error_504": ("timeout", None),
    "error_context": ("context_length_exceeded", None),
    "error_html": ("provider_unavailable", None),
    "error_key": ("provider_unavailable", None),
    "error_location": ("provider_unavailable", None),
}


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_errors_are_typed(name: str) -> None:
    """By the reason of their details, by their status, or by their words."""
    case = CASES[name]
    error = FORMAT.error(case.status, case.response or b"", {}, endpoint())
    assert (error.error_type, error.retry_after) == ERRORS[name]
    assert error.metadata["raw"] == (case.response or b"").decode()
    assert FORMAT.error(429, case.response or b"", {"retry-after": "3"}, endpoint()).retry_after == 3


@pytest.mark.parametrize(("told", "seconds"), [("86400s", 86_400), ("86400.5s", 86_400), ("9999999s", 86_400)])
def test_a_long_delay_counts_as_a_day(told: str, seconds: float) -> None:
    """With a status of failure, and within a stream."""
    body = json.dumps({"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": told}]}}).encode()
    assert FORMAT.error(429, body, {}, endpoint()).retry_after == seconds
    failed = events_of([b"data: " + body + b"\n\n"])[-1]
    assert isinstance(failed, Failed) and failed.error.retry_after == seconds


def test_errors_within_a_stream_are_typed() -> None:
    body = {"error": {"code": 429, "message": "Slow down.", "details": [{"retryDelay": "7s"}, {"retryDelay": 7}]}}
    (failed,) = [
        event for event in events_of([b"data: " + json.dumps(body).encode() + b"\n\n"]) if isinstance(event, Failed)
    ]
    assert (failed.error.error_type, failed.error.retry_after) == ("rate_limit_exceeded", 7)
    long = {
        "error": {
            "status": "INVALID_ARGUMENT",
            "message": "The input token count (9) exceeds the maximum number of tokens",
        }
    }
    assert chunks(long).error is not None
    for odd, kind in (
        (long, "context_length_exceeded"),
        ({"error": "Overloaded"}, "provider_unavailable"),
        ({"error": {"code": "x"}}, "provider_unavailable"),
        ({"error": {"message": "flagged as potentially violating our usage policy"}}, "content_policy_violation"),
    ):
        with pytest.raises(ApiError) as raised:
            read(odd)
        assert raised.value.error_type == kind


@pytest.mark.parametrize("words", ["Corrupted thought signature.", "Thought signature is not valid"])
def test_a_refused_signature_is_known_as_such(words: str) -> None:
    """The request is sent again without signatures then."""
    body = json.dumps({"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}).encode()
    assert refuses_tokens(FORMAT.error(400, body, {}, endpoint()))


FENCED = 'Here it is:\n```json\n{"port": "Genoa", }\n```'


@pytest.mark.parametrize(("version", "is_healed"), [("2.5-pro", True), ("3-pro-preview", False)])
def test_json_that_was_asked_for_in_words_is_healed(version: str, is_healed: bool) -> None:
    """Functions keep models before Gemini 3 from being held to JSON, so that a fence and words may stand around it."""
    asked = ask(user("A port?"), tools=[function()], output=OutputFormat(kind="json_object"))
    context = encode(asked, endpoint(f"gemini-{version}")).context
    pieces = [said({"text": FENCED[:20]}, finish=None), said({"text": FENCED[20:31]}, finish=None)]
    streamed = chunks(*pieces, said({"text": FENCED[31:]}), context=context)
    for result in (read(said({"text": FENCED}), context), streamed):
        (text,) = result.choices[0].parts
        assert isinstance(text, Text) and text.text == ('{"port": "Genoa"}' if is_healed else FENCED)


def test_a_call_instead_of_json_is_a_call() -> None:
    asked = ask(user("A port?"), tools=[function()], output=OutputFormat(kind="json_object"))
    context = encode(asked, endpoint(PRO)).context
    result = read(said({"functionCall": {"name": "hoist", "args": {}}}), context)
    assert [type(part) for part in result.choices[0].parts] == [ToolCall]
