"""Test on a running router that no provider can hang it, fill it, or make it fail with an error of its own."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.market import (
    ANSWER,
    FIRST,
    GOOD,
    LAST,
    SECRET,
    SSE_HEAD,
    FaultyMarket,
    chunk,
    faulty_market,
    framed,
    good,
)
from tests.fuzz.raw_provider import Script, by_mode, endless, raw, respond

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
ERROR = b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
BLOCK = framed(b"x" * 65_536, end=False)
DEEP = b"[" * 100_000 + b"]" * 100_000
BODY = json.dumps(ANSWER).encode()
COMPLETE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
BOMB = gzip.compress(b'{"x":"' + b"a" * 100_000_000 + b'"}')
GZIP = "content-encoding: gzip\r\n"
# What the allocator may keep of bodies of the largest size that were read at once.
GROWTH_BYTES = 400 * 1024 * 1024
# Status and body, by the fault and whether the request was streamed.
Outcomes = dict[tuple[str, bool], tuple[int, bytes]]


MANY_CHOICES = json.dumps({**ANSWER, "choices": ANSWER["choices"] * 50_000}).encode()


def stream(*parts: bytes) -> Script:
    """Return the script of one complete stream."""
    return raw(SSE_HEAD + framed(*parts))


def with_content(text: bytes) -> bytes:
    """Return the good answer with other content."""
    return BODY.replace(b"fine", text)


def failed(sentence: str) -> bytes:
    """Return the body of an error."""
    return json.dumps({"error": {"message": sentence, "code": sentence}}).encode()


# Each fails before the first token, both streamed and not: the next endpoint answers.
BEFORE: dict[str, Script] = {
    "slow_error": endless(ERROR, framed(b"x", end=False), 0.2),
    "silent_error": raw(ERROR),
    "endless_error": endless(ERROR, BLOCK),
    "endless_answer": by_mode(endless(CHUNKED, BLOCK), endless(SSE_HEAD, BLOCK)),
    "no_blank_lines": by_mode(
        raw(b"oops", close=True), endless(SSE_HEAD, framed(FIRST.strip() + b"\n", end=False) * 99)
    ),
    "endless_comments": endless(SSE_HEAD, framed(b": hi\n\n", end=False), 0.05),
    "tiny_chunks": by_mode(endless(CHUNKED, framed(b"x", end=False) * 5000), raw(b"", close=True)),
    "deep": by_mode(respond(b'{"choices":' + DEEP + b"}"), stream(b'data: {"choices":' + DEEP + b"}\n\n")),
    "bomb": respond(BOMB, more=GZIP),
    "bomb_in_an_error": respond(BOMB, status="500 Oops", more=GZIP),
    "bomb_in_a_stream": respond(BOMB, kind="text/event-stream", more=GZIP),
    "endless_hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
    "slow_hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", 0.2),
    "switching": raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx"),
    "too_short": respond(BODY, length=len(BODY) + 50),
    "too_short_and_closed": raw(HEAD + b"content-length: 9999\r\n\r\n" + BODY, close=True),
    "two_lengths": raw(HEAD + b"content-length: 5\r\ncontent-length: 7\r\n\r\n" + BODY, close=True),
    "huge_length": raw(HEAD + b"content-length: 99999999999999999999999999\r\n\r\n" + BODY),
    "status_999": raw(b"HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n{}"),
    "redirect": raw(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"),
    "many_choices": by_mode(respond(MANY_CHOICES), raw(b"", close=True)),
}
# Each is odd, and an answer still.
ODD: dict[str, Script] = {
    "hints": by_mode(
        raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + COMPLETE),
        raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + SSE_HEAD + framed(FIRST, LAST)),
    ),
    "trailers": by_mode(
        raw(CHUNKED + framed(BODY, end=False) + b"0\r\nx-sum: 1\r\n\r\n"),
        raw(SSE_HEAD + framed(FIRST, LAST, end=False) + b"0\r\nx-sum: 1\r\n\r\n"),
    ),
    "second_answer": by_mode(raw(COMPLETE * 2), raw((SSE_HEAD + framed(FIRST, LAST)) * 2)),
    "late_second_answer": by_mode(
        raw(COMPLETE, COMPLETE, pause_s=0.1), raw(SSE_HEAD + framed(FIRST, LAST), COMPLETE, pause_s=0.1)
    ),
    "nul": by_mode(respond(with_content(b"f\\u0000ine")), stream(chunk({"content": "f\0i"}), LAST)),
    "raw_nul": by_mode(respond(with_content(b"f\0ine")), stream(FIRST.replace(b"fi", b"f\0i"), LAST)),
    "bad_utf8": by_mode(respond(with_content(b"f\xff\xfeine")), stream(FIRST.replace(b"fi", b"f\xffi"), LAST)),
    "bad_utf8_in_a_header": by_mode(respond(BODY, more="x-odd: \xff\xfe\r\n"), stream(FIRST, LAST)),
    "too_long": respond(BODY + b"surplus", length=len(BODY)),
}
# Each fails after the first token of a stream.
AFTER: dict[str, Script] = {
    "late_silence": raw(SSE_HEAD + framed(FIRST, end=False)),
    "late_close": raw(SSE_HEAD + framed(FIRST, end=False), close=True),
    "late_depth": stream(FIRST, b'data: {"choices":[{"index":0,"delta":{"content":"x","x":' + DEEP + b"}}]}\n\n"),
    "late_event": endless(SSE_HEAD + framed(FIRST, end=False), framed(b"data: " + b"x" * 65_536, end=False)),
}
# Each tells the router's key to its caller, in some place of an error.
ECHOES: dict[str, Script] = {
    "echo_400": respond(failed(f"bad key {SECRET}"), status="400 Bad"),
    "echo_401": respond(failed(f"bad key {SECRET}"), status="401 Bad"),
    "echo_cut": respond(b"x" * 1990 + SECRET.encode(), status="500 Oops", kind="text/plain"),
    "echo_200": by_mode(respond(failed(f"bad key {SECRET}")), stream(b"data: " + failed(SECRET) + b"\n\n")),
    "echo_late": by_mode(respond(failed(SECRET)), stream(FIRST, b"data: " + failed(f"bad {SECRET}") + b"\n\n")),
    "echo_content": by_mode(respond(with_content(SECRET.encode())), stream(chunk({"content": SECRET}), LAST)),
}
# Each tells the key in pieces of a stream, whether a stream was asked for or not; the reads of one cut its only event.
PIECES = (1, 3, 10)
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
SAID = {
    "content": ("say ", " now", lambda piece: {"content": piece}),
    "reasoning": ("why ", " so", lambda piece: {"reasoning_content": piece}),
    "arguments": ('{"a":"', '"}', lambda piece: {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
}


def told(field: str, size: int) -> Script:
    """Return the script of a stream that tells the key in pieces of ``size`` characters."""
    before, after, delta = SAID[field]
    text = before + SECRET + after
    pieces = [chunk(delta(text[start : start + size])) for start in range(0, len(text), size)]
    is_call = field == "arguments"
    first = chunk({"role": "assistant"} | ({"tool_calls": [CALL]} if is_call else {"content": ""}))
    return stream(first, *pieces, chunk({}, "tool_calls" if is_call else "stop") + b"data: [DONE]\n\n")


SOURCE = {"url": f"https://a/?key={SECRET}", "title": "a", "start_index": 0, "end_index": 1}
CITED = {"annotations": [{"type": "url_citation", "url_citation": SOURCE}]}
WHOLE = chunk({"content": f"say {SECRET} now"} | CITED) + LAST
CUT_READS = [WHOLE[start : start + 7] for start in range(0, len(WHOLE), 7)]
TOLD: dict[str, Script] = {f"told_{field}_{size}": told(field, size) for field in SAID for size in PIECES}
TOLD["told_content_reads"] = raw(
    *[SSE_HEAD, *(framed(part, end=False) for part in CUT_READS), b"0\r\n\r\n"], pause_s=0.002
)
RETRY: dict[str, Script] = {
    f"retry_{number}": respond(failed("slow down"), status="429 Slow", more=f"retry-after: {value}\r\n")
    for number, value in enumerate(("99999999999999", "1e308", "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "inf"))
}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMarket]:
    """Start one router in front of all faulty providers."""
    scripts: dict[str, Any] = {**BEFORE, **ODD, **AFTER, **ECHOES, **TOLD, **RETRY, "warm_up": good}
    with faulty_market(tmp_path_factory.mktemp("faults"), scripts) as opened:
        for streamed in (False, True):
            ask(opened, "warm_up", stream=streamed)
        yield opened


@pytest.fixture(scope="module")
def outcomes(market: FaultyMarket) -> Outcomes:
    """Ask for every fault that takes time at once; return status and body by fault and by whether it was streamed."""
    before = market.rss()
    wanted = [(name, streamed) for name in (*BEFORE, *AFTER) for streamed in (False, True)]
    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda one: ask(market, one[0], stream=one[1]), wanted))
    assert market.rss() - before < GROWTH_BYTES
    return dict(zip(wanted, found, strict=True))


def ask(market: FaultyMarket, name: str, *, stream: bool, fallback: bool = True) -> tuple[int, bytes]:
    """Return the status and the body of the response to one request."""
    with market.client() as client:
        response = client.post("/api/v1/chat/completions", json=market.body(name, stream=stream, fallback=fallback))
        return response.status_code, response.content


def is_stream_of(body: bytes, provider: str) -> bool:
    """Return whether a stream ended as it should, and came from ``provider``."""
    return body.endswith(b"data: [DONE]\n\n") and f'"provider":"{provider}"'.encode() in body


@pytest.mark.parametrize("name", BEFORE)
def test_a_fault_before_the_first_token_is_silent(outcomes: Outcomes, name: str) -> None:
    """The next endpoint answers, within the attempt's deadline and without keeping what the provider sent."""
    status, body = outcomes[name, False]
    assert (status, json.loads(body)["provider"]) == (200, GOOD)
    status, body = outcomes[name, True]
    assert status == 200 and is_stream_of(body, GOOD) and b'"error"' not in body


@pytest.mark.parametrize("name", ["endless_error", "deep", "bomb", "switching", "huge_length"])
def test_a_fault_of_the_only_provider_is_typed(market: FaultyMarket, name: str) -> None:
    """It is the provider's fault or a time-out, in the contract's envelope: never our own 500."""
    status, body = ask(market, name, stream=True, fallback=False)
    error = json.loads(body)["error"]
    assert (status, error["metadata"]["error_type"]) in ((502, "provider_unavailable"), (504, "timeout"))


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_an_answer(market: FaultyMarket, name: str) -> None:
    # An answer that nobody asked for may meet the next request on its connection, which then has another provider.
    races = name == "late_second_answer"
    for streamed in (False, True, False, True):
        status, body = ask(market, name, stream=streamed, fallback=races)
        assert status == 200 and b'"error"' not in body
        body.decode()
        if streamed:
            assert is_stream_of(body, f"faulty-{name}") or races
        else:
            assert json.loads(body)["choices"][0]["finish_reason"] == "stop"
    if races:
        # The last answer that nobody asked for comes while its connection is idle, not to the next test's request.
        time.sleep(0.5)


@pytest.mark.parametrize("name", AFTER)
def test_a_fault_after_the_first_token_ends_the_stream(outcomes: Outcomes, name: str) -> None:
    """An error chunk and ``[DONE]`` follow; the stream is never cut."""
    status, body = outcomes[name, True]
    assert status == 200 and is_stream_of(body, f"faulty-{name}")
    assert b'"finish_reason":"error"' in body and b'"error":{"code":50' in body


@pytest.mark.parametrize("name", ECHOES)
def test_a_key_that_a_provider_echoes_is_redacted(market: FaultyMarket, name: str) -> None:
    """It is in no body, explanation, log or record, not even in part."""
    for streamed in (False, True):
        status, body = ask(market, name, stream=streamed, fallback=False)
        assert status != 500
        assert SECRET[:12].encode() not in body
    assert SECRET[:12] not in market.running.output
    for file in market.lake.root.rglob("*"):
        assert not file.is_file() or SECRET[:12].encode() not in file.read_bytes()


APIS: dict[str, dict[str, Any]] = {
    "chat/completions": {},
    "messages": {"max_tokens": 50, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    "responses": {"input": "hello", "messages": None},
}
# Where the APIs' streams and bodies have text; the complete texts at the end of a stream of responses count twice.
TEXT_KEYS = {"content", "reasoning", "arguments", "text", "thinking", "partial_json", "delta"}


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts of a response or an event, the arguments of calls as JSON."""
    if isinstance(value, list):
        for one in value:
            yield from texts_in(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, str) and name in TEXT_KEYS:
                yield one
            elif name == "input" and one:
                yield json.dumps(one, separators=(",", ":"))
            elif name not in ("reasoning_details", "response", "item", "part"):
                yield from texts_in(one)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", TOLD)
def test_a_key_that_a_provider_tells_in_pieces_is_redacted(market: FaultyMarket, name: str, api: str) -> None:
    """Leave three characters of it at most; all other text arrives."""
    before, after, _ = SAID[name.split("_")[1]]
    for streamed in (True, False):
        body = market.body(name, stream=streamed, fallback=False) | APIS[api]
        with market.client() as client:
            response = client.post("/api/v1/" + api, json={key: one for key, one in body.items() if one is not None})
        assert response.status_code == 200, response.text
        assert SECRET[:12] not in response.text and "[redacted]" in response.text
        if streamed:
            lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
            text = "".join(one for line in lines if ".done" not in line[:40] for one in texts_in(json.loads(line)))
        else:
            text = "".join(texts_in(response.json()))
        left = [before + SECRET[:length] + "[redacted]" + after for length in range(4)]
        assert any(one in text for one in left), text


def test_no_key_that_was_told_is_in_a_log_or_a_record(market: FaultyMarket) -> None:
    assert market.provider.served["told_content_1"]
    assert SECRET[:12] not in market.running.output
    for file in market.lake.root.rglob("*"):
        assert not file.is_file() or SECRET[:12].encode() not in file.read_bytes()


@pytest.mark.parametrize("name", RETRY)
def test_retry_after_is_at_most_a_day(market: FaultyMarket, name: str) -> None:
    with market.client() as client:
        response = client.post("/api/v1/chat/completions", json=market.body(name, stream=False, fallback=False))
    assert response.status_code == 429
    assert 1 <= int(response.headers.get("retry-after", "1")) <= 86_400


def test_nothing_was_a_fault_of_the_router(market: FaultyMarket, tmp_path: Path) -> None:
    """No traceback is in its output, and it serves on."""
    assert "Traceback" not in market.running.output
    assert ask(market, "warm_up", stream=False)[0] == 200
