"""Make malformed requests and answers from well-formed ones, the same for the same seed."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.fuzz.market import ANSWER, FIRST, LAST, SSE_HEAD, chunk, framed

TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
TURN = {"role": "user", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
        TURN,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    ],
    "tools": [{"type": "function", "function": TOOL}],
    "tool_choice": "auto",
    "provider": {"order": ["good"], "sort": "price", "max_price": {"prompt": 1}, "ttft_timeout": 5},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": TOOL["parameters"]}},
    "reasoning": {"effort": "low"},
    "max_tokens": 10,
    "temperature": 0.5,
    "stop": ["x"],
    "logit_bias": {"1": 1},
    "user": "me",
    "session_id": "s",
    "plugins": [{"id": "response-healing"}],
    "models": ["test/ok"],
}
MESSAGES = {
    "max_tokens": 10,
    "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        TURN,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}]},
    ],
    "tools": [{"name": "f", "input_schema": TOOL["parameters"]}],
    "tool_choice": {"type": "auto"},
    "metadata": {"user_id": "me"},
    "stop_sequences": ["x"],
}
RESPONSES = {
    "instructions": "be brief",
    "input": [
        TURN,
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ],
    "tools": [{"type": "function", **TOOL}],
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "text"}},
    "max_output_tokens": 20,
    "metadata": {"a": "b"},
}
COMPLETIONS = {"prompt": "hello", "max_tokens": 5, "n": 1, "stop": ["x"], "logprobs": 1}
REQUESTS: dict[str, dict[str, Any]] = {
    "/api/v1/chat/completions": CHAT,
    "/api/v1/messages": MESSAGES,
    "/api/v1/messages/count_tokens": MESSAGES,
    "/api/v1/responses": RESPONSES,
    "/api/v1/completions": COMPLETIONS,
    "/api/v1/route/preview": CHAT,
}
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 1e308, "", "x", "\0", "\u2028",
    "\ud7ff", "x" * 300, "x" * 5000, [], {}, [[]], [None], {"": None}, [1] * 50, [{}] * 50, {"type": "text"},
    {"type": "x", "text": 1}, "null", "data:,", "http://127.0.0.1:1/x", "test/ok", "../..", "'; drop table keys",
]  # fmt: skip


def mutated(value: Any, draw: random.Random) -> Any:
    """Return a copy of ``value`` in which one to three places are changed, removed, repeated or nested."""
    made = copy.deepcopy(value)
    for _ in range(draw.randint(1, 3)):
        holder, key = _place(made, draw)
        if holder is None:
            continue
        match draw.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.extend([holder[key]] * draw.choice((1, 5, 200)))
            case 2:
                nested: Any = holder[key]
                for _level in range(draw.choice((1, 10, 150, 220))):
                    nested = [nested]
                holder[key] = nested
            case 3 if isinstance(holder, dict):
                holder[str(draw.choice(ODD))[:300]] = _odd(draw)
            case _:
                holder[key] = _odd(draw)
    return made


def _odd(draw: random.Random) -> Any:
    """Return an odd value of its own: one that is put into several places would be changed in all of them."""
    return copy.deepcopy(draw.choice(ODD))


def _place(value: Any, draw: random.Random) -> tuple[Any, Any]:
    """Return a container within ``value`` and one of its keys."""
    holder, key = None, None
    while isinstance(value, (dict, list)) and value:
        holder = value
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
        value = holder[key]
        if draw.random() < 0.3:
            break
    return holder, key


def request_bytes(draw: random.Random, key: str) -> bytes:
    """Return the bytes of one request: its body is malformed, and now and then its head is too."""
    path = draw.choice(list(REQUESTS))
    body = mutated({"model": "test/ok", "stream": draw.random() < 0.5, **REQUESTS[path]}, draw)
    content = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode(errors="replace")
    if draw.random() < 0.15:
        content = _cut(content, draw)
    if draw.random() < 0.05:
        path += draw.choice(("?x=%ff", "?id=%00", "/%2e%2e", "?" + "a" * 3000, "%ff"))
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(content)}\r\n"
    if draw.random() < 0.1:
        head += draw.choice(
            ("content-encoding: gzip\r\n", "expect: 100-continue\r\n", "x-title: \xff\xfe\r\n", "x:\r\n")
        )
    whole = f"{head}connection: close\r\n\r\n".encode("latin-1") + content
    return _cut(whole, draw) if draw.random() < 0.05 else whole


def look_up_bytes(draw: random.Random, key: str) -> bytes:
    """Return the bytes of a request without a body, with an odd query or path."""
    path = draw.choice(
        ("/generation?id=", "/generation/explain?id=", "/models?offset=", "/models?q=", "/models?category=", "/model/",
         "/models/", "/endpoints/", "/key?", "/models/count?region=")
    )  # fmt: skip
    odd = draw.choice(
        (
            "%00",
            "%ff%fe",
            "gen-99999999999-x",
            "gen-1-x",
            "-1",
            "1e9",
            "9" * 400,
            "%F0%9F%98%80",
            "../../etc",
            "a" * 200,
        )
    )
    head = f"GET /api/v1{path}{odd} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    return head.encode("latin-1")


def answer_bytes(draw: random.Random, *, streamed: bool) -> bytes:
    """Return the bytes of one malformed response of a provider, which closes its connection."""
    if streamed:
        pieces = [FIRST, chunk(mutated({"content": "x", "tool_calls": [{"index": 0, **CALL}]}, draw) or {}), LAST]
        first = json.loads(FIRST[6:])
        pieces.insert(1, b"data: " + json.dumps(mutated(first, draw)).encode() + b"\n\n")
        if draw.random() < 0.2:
            pieces = [_cut(piece, draw) for piece in pieces]
        whole = SSE_HEAD + framed(*[piece for piece in pieces if piece], end=draw.random() < 0.8)
    else:
        body = json.dumps(mutated(ANSWER, draw)).encode()
        status = draw.choice(("200 OK", "200 OK", "200 OK", "400 Bad", "429 Slow", "500 Oops", "302 Found"))
        body = _cut(body, draw) if draw.random() < 0.2 else body
        whole = (
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
    return _cut(whole, draw) if draw.random() < 0.1 else whole


def _cut(content: bytes, draw: random.Random) -> bytes:
    """Return ``content`` with bytes removed, replaced, repeated or inserted at one place."""
    at = draw.randrange(len(content) + 1)
    end = at + draw.choice((0, 1, 3, 40))
    return (
        content[:at]
        + draw.choice((b"", b"\0", b"\xff\xfe", b"\r\n", b'"', b"}" * 5, content[at:end] * 3))
        + content[end:]
    )
