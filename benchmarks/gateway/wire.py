"""The bytes of the benchmark: one chat request, its whole answer, and the same answer as a stream."""

from __future__ import annotations

import json

CHUNKS = 50
MODEL = "openai/gpt-oss-120b"
_USAGE = {"prompt_tokens": 120, "completion_tokens": CHUNKS, "total_tokens": 120 + CHUNKS}
_QUESTION = "How does a harbour pilot read the tide tables before a ship may enter? " * 8


def request(path: str, api_key: str, *, stream: bool) -> bytes:
    """An HTTP/1.1 request for a connection that stays open; its body has about 700 bytes."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": _QUESTION}], "stream": stream}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {api_key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def whole_answer() -> bytes:
    """An HTTP/1.1 answer with a chat completion of about 500 bytes."""
    message = {"role": "assistant", "content": "By the height of the water above the sill. " * 6}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _USAGE,
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def stream_answer() -> list[bytes]:
    """An HTTP/1.1 chunked answer, as the pieces that are sent one by one: head, 50 events, end."""
    events = [_event({"index": 0, "delta": {"content": f"word{n} "}, "finish_reason": None}) for n in range(CHUNKS - 1)]
    events.append(_event({"index": 0, "delta": {}, "finish_reason": "stop"}))
    end = b"data: " + json.dumps(_chunk([]) | {"usage": _USAGE}).encode() + b"\n\ndata: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(_framed(event) for event in events), _framed(end) + b"0\r\n\r\n"]


def _chunk(choices: list[object]) -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


def _event(choice: object) -> bytes:
    return b"data: " + json.dumps(_chunk([choice])).encode() + b"\n\n"


def _framed(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"
