"""One odd field never costs an answer: the official clients read what is left, in both modes and formats."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import openai
import openrouter
import pytest
from openrouter.utils import BackoffStrategy, RetryConfig

from tests.characterisation.conftest import CALLED, Market
from tests.wire_cases import WireCase, load_cases

# The SDK repeats a failed request for up to an hour.
NO_RETRIES = RetryConfig("none", BackoffStrategy(0, 0, 0, 0), retry_connection_errors=False)
ODD: tuple[Any, ...] = (None, 5, -1, 1.5, 2**70, "odd", "", True, [], [None, 7, "odd"], {}, {"odd": 1}, [{"odd": 1}])
DONE = b"data: [DONE]\n\n"
M = [{"role": "user", "content": "hello"}]
TOKEN = {"token": "Hello!", "logprob": -0.31725305, "bytes": [72], "top_logprobs": []}
MESSAGE = {"role": "assistant", "content": "Hello!"}
USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
BODY_FIELDS = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "new_in_body")
USAGE_FIELDS = (
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "new_in_usage",
)
CHOICE_FIELDS = ("index", "logprobs", "new_in_choice")
MESSAGE_FIELDS = (
    *("role", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "function_call"),
    *("annotations", "audio", "images", "new_in_message"),
)


def test_completions_with_odd_fields_are_read(market: Market) -> None:
    choices = [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]
    for odd in ODD:
        body = dict.fromkeys(BODY_FIELDS, odd) | {"choices": choices}
        answer = _complete(market, _plain(market, response=json.dumps(body).encode()))
        assert answer.choices[0].message.content == "Hello!", odd


def test_usage_with_odd_fields_is_read(market: Market) -> None:
    choices = [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]
    for odd in ODD:
        usage = dict.fromkeys(USAGE_FIELDS, odd) | {"completion_tokens": 10}
        found = _complete(market, _plain(market, response=json.dumps({"choices": choices, "usage": usage}).encode()))
        assert found.usage.completion_tokens == 10
        assert found.usage.prompt_tokens == {5: 5, 1.5: 1}.get(odd if type(odd) in (int, float) else None, 0), odd


@pytest.mark.parametrize("name", [*CHOICE_FIELDS, *MESSAGE_FIELDS])
def test_choices_with_odd_fields_are_read(market: Market, name: str) -> None:
    choices = [
        {"index": n, "finish_reason": "stop", "message": MESSAGE} | ({name: odd} if name in CHOICE_FIELDS else {})
        for n, odd in enumerate(ODD)
    ]
    if name in MESSAGE_FIELDS:
        choices = [choice | {"message": MESSAGE | {name: odd}} for choice, odd in zip(choices, ODD, strict=True)]
    answer = _complete(market, _plain(market, response=json.dumps({"choices": choices}).encode()))
    assert [choice.message.content for choice in answer.choices] == ["Hello!"] * len(ODD)


@pytest.mark.parametrize("name", [*BODY_FIELDS, *CHOICE_FIELDS, *MESSAGE_FIELDS])
def test_chunks_with_odd_fields_are_read(market: Market, name: str) -> None:
    chunks: list[dict[str, Any]] = []
    # Any text ends a choice: what reason it is, is another matter.
    odd_values = [odd for odd in ODD if name != "finish_reason" or odd != "odd"]
    for odd in odd_values:
        field = {name: odd}
        delta = MESSAGE | (field if name in MESSAGE_FIELDS else {})
        choice = {"index": 0, "delta": delta, "finish_reason": None} | (field if name in CHOICE_FIELDS else {})
        chunks.append({"id": "c-1", "choices": [choice]} | (field if name in BODY_FIELDS else {}))
    last = {"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    found = _stream(market, _plain(market, stream=_sse(*chunks, last)))
    text = "".join(choice.delta.content or "" for chunk in found for choice in chunk.choices)
    assert text == "Hello!" * len(odd_values)
    assert found[-1].usage.completion_tokens == 10


def test_odd_events_between_chunks_are_ignored(market: Market) -> None:
    first = {"id": "c-1", "choices": [{"index": 0, "delta": MESSAGE, "finish_reason": None}]}
    last = {"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    odd = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in ODD) + b"data:\n\n"
    found = _stream(market, _plain(market, stream=_sse(first).removesuffix(DONE) + odd + _sse(last)))
    assert "".join(choice.delta.content or "" for chunk in found for choice in chunk.choices) == "Hello!"
    assert found[-1].usage.completion_tokens == 10


def test_an_unknown_finish_reason_is_an_error_with_the_answer(market: Market) -> None:
    choice = {"index": 0, "message": MESSAGE, "finish_reason": "odd"}
    case = _plain(market, response=json.dumps({"choices": [choice]}).encode(), fresh=True)
    found = _openai(market).chat.completions.with_raw_response
    market.provider.script(case, streamed=False)
    answer = json.loads(found.create(model=case.id, messages=M).content)["choices"][0]
    assert answer["message"]["content"] == "Hello!"
    assert (answer["finish_reason"], answer["native_finish_reason"]) == ("error", "odd")


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd != "odd"])
def test_an_answer_without_a_finish_reason_is_no_success(market: Market, odd: Any) -> None:
    choice = {"index": 0, "message": MESSAGE, "finish_reason": odd}
    case = _plain(market, response=json.dumps({"choices": [choice]}).encode(), fresh=True)
    market.provider.script(case, streamed=False)
    with pytest.raises(openai.APIStatusError) as caught:
        _openai(market).chat.completions.create(model=case.id, messages=M)
    assert caught.value.status_code in (502, 503)


@pytest.mark.parametrize(
    ("content", "read"),
    [(5, "5"), ({"a": 1}, '{"a":1}'), (True, "true"), (["Hel", "lo"], "Hello"), ("", ""), (None, None)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_content_of_another_type_is_kept(market: Market, content: Any, read: str | None, stream: bool) -> None:
    said = {"role": "assistant", "content": content}
    if stream:
        chunk = {"choices": [{"index": 0, "delta": said, "finish_reason": "stop"}]}
        found = _stream(market, _plain(market, stream=_sse(chunk)))[0].choices[0].delta.content
    else:
        body = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
        found = _complete(market, _plain(market, response=json.dumps(body).encode())).choices[0].message.content
    assert found == read


@pytest.mark.parametrize("fault", [rb"\ud83d", b"\xff", b"\x01"], ids=["half a pair", "no UTF-8", "control character"])
@pytest.mark.parametrize("stream", [False, True])
def test_broken_text_costs_no_answer(market: Market, fault: bytes, stream: bool) -> None:
    if stream:
        body = _sse({"choices": [{"index": 0, "delta": MESSAGE, "finish_reason": "stop"}]}).replace(b"lo!", fault)
        found = _stream(market, _plain(market, stream=body))[0].choices[0].delta.content
    else:
        body = json.dumps({"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}).encode()
        answer = _complete(market, _plain(market, response=body.replace(b"lo!", fault)))
        found = answer.choices[0].message.content
    assert found in ("Hel\ufffd", "Hel\x01")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_cost_no_answer(market: Market, number: str) -> None:
    choice = {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": {"content": [TOKEN]}}
    body = json.dumps({"choices": [choice]}).replace("-0.31725305", number)
    answer = _complete(market, _plain(market, response=body.encode()))
    assert answer.choices[0].message.content == "Hello!"


def test_a_choice_without_a_message_is_no_answer(market: Market) -> None:
    for body in ({"choices": [{"index": 0, "text": "Hello!"}]}, {"choices": [None]}, {"choices": []}, {"choices": {}}):
        case = _plain(market, response=json.dumps(body).encode(), fresh=True)
        market.provider.script(case, streamed=False)
        answer = market.client.post("/v1/chat/completions", json={"model": case.id, "messages": M})
        assert answer.status_code == 502


def test_log_probabilities_reach_the_client(market: Market) -> None:
    logprobs = {
        "content": [TOKEN | {"top_logprobs": [{"token": "Hi", "logprob": -1.5, "bytes": None}]}],
        "refusal": None,
    }
    choice = {"index": 0, "finish_reason": "stop", "logprobs": logprobs}
    whole = _plain(market, response=json.dumps({"choices": [choice | {"message": MESSAGE}]}).encode())
    chunked = _plain(market, stream=_sse({"choices": [choice | {"delta": MESSAGE}]}))
    answer, first = _complete(market, whole), _stream(market, chunked)[0]
    for found in (answer.choices[0].logprobs, first.choices[0].logprobs):
        assert found.model_dump()["content"] == logprobs["content"]
        assert found.content[0].top_logprobs[0].logprob == -1.5


def test_a_message_of_anthropic_with_odd_fields_is_read(market: Market) -> None:
    case = next(c for c in load_cases("anthropic_messages") if c.name == "plain_text")
    text = {"type": "text", "text": "Hello!"}
    for odd in ODD:
        message = {"id": odd, "content": [text], "stop_reason": "end_turn", "usage": odd, "odd": odd}
        answer = _complete(market, replace(case, response=json.dumps(message).encode()))
        assert answer.choices[0].message.content == "Hello!", odd
    fields = (("type", "text"), ("text", "text"), ("thinking", "thinking"), ("signature", "thinking"))
    fields += (("data", "redacted_thinking"), ("id", "tool_use"), ("name", "tool_use"), ("input", "tool_use"))
    blocks = [
        {"type": kind, name: odd} for odd in ODD for name, kind in fields if not (name == "text" and odd == "odd")
    ]
    body = {
        "content": [*blocks, *ODD, text],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 2**70, "output_tokens": 1.5},
    }
    answer = _complete(market, replace(case, response=json.dumps(body).encode()))
    assert answer.choices[0].message.content == "Hello!"
    assert answer.usage.completion_tokens == 1


def test_a_stream_of_anthropic_with_odd_fields_is_read(market: Market) -> None:
    case = next(c for c in load_cases("anthropic_messages") if c.name == "plain_text")
    begin = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}}
    end = {"type": "content_block_stop", "index": 0}
    finish = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    events: list[Any] = [{"type": "message_start", "message": {"id": "m-1", "usage": {"input_tokens": 1}}}]
    for odd in ODD:
        events += [odd, {"type": odd}, {"type": "ping", "odd": odd}, {"type": "message_start", "message": odd}]
        events += [begin | {"index": odd}, begin | {"content_block": odd}, said | {"index": odd}, end | {"index": odd}]
        events += [said | {"delta": odd}, said | {"delta": {"type": odd}}, begin | {"content_block": {"type": odd}}]
        events += [said | {"delta": {"type": "signature_delta", "signature": odd}, "index": odd}]
        events += [{"type": "message_delta", "delta": {}, "usage": odd}]
    events += [finish, {"type": "message_stop"}]
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    chunks = _stream(market, replace(case, stream=stream))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "Hello!" * len(ODD)
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (1, 2)


def _plain(market: Market, *, fresh: bool = False, **served: bytes) -> WireCase:
    """Return a case that serves these bytes; a ``fresh`` one has an endpoint that no other test needs sound."""
    case = market.plain if not fresh else next(c for c in load_cases("openai_chat") if c.name == "no_choices")
    return replace(case, **served)


def _sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + DONE


def _model(case: WireCase, market: Market) -> str:
    return CALLED if case.id == market.plain.id else case.id


def _complete(market: Market, case: WireCase) -> Any:
    """Ask as both SDKs do; return the answer of OpenAI's. That of OpenRouter refuses what is not in the contract."""
    market.provider.script(case, streamed=False)
    _openrouter(market).chat.send(model=_model(case, market), messages=M)
    return _openai(market).chat.completions.create(model=_model(case, market), messages=M)


def _stream(market: Market, case: WireCase) -> list[Any]:
    market.provider.script(case, streamed=True)
    with _openrouter(market).chat.send(model=_model(case, market), messages=M, stream=True) as chunks:
        list(chunks)
    return list(_openai(market).chat.completions.create(model=_model(case, market), messages=M, stream=True))


def _openai(market: Market) -> openai.OpenAI:
    if "openai" not in market.sdks:
        market.sdks["openai"] = openai.OpenAI(base_url=f"{market.url}/v1", api_key=market.new_key(), max_retries=0)
    return market.sdks["openai"]  # type: ignore[no-any-return]


def _openrouter(market: Market) -> openrouter.OpenRouter:
    if "openrouter" not in market.sdks:
        market.sdks["openrouter"] = openrouter.OpenRouter(
            api_key=market.new_key(), server_url=f"{market.url}/api/v1", retry_config=NO_RETRIES
        )
    return market.sdks["openrouter"]  # type: ignore[no-any-return]
