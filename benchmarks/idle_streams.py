"""Measure the memory of open streams on which nothing happens: what one more costs the router's process.

``python -m benchmarks.idle_streams``. A router with one worker stands between clients and a provider that sends one
token and keeps silent. The resident memory of the router's process alone is read before and after the streams are
opened, when its keep-alives have begun. A router of its own serves each row, after a warm-up with other streams that
have been closed, so that neither imports nor caches count. Memory that the warm-up has freed is used again, so the
figure is the growth between two numbers of open streams.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.gateway.__main__ import start, wait_for
from benchmarks.tables import write_between
from data.lake import Lake
from router_service.admission.keys import create_key, open_database
from tests.running import free_port

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
# Longer than the interval of keep-alives, so that each stream has sent one.
SETTLING_S = 6.0
AT_ONCE = 50
QUESTION = "How does a harbour pilot read the tide tables before a ship may enter? " * 8
ROWS = (
    ("chat", "openai_chat", "/v1/chat/completions", "openai/gpt-oss-120b"),
    ("chat", "anthropic_messages", "/v1/chat/completions", "anthropic/claude-sonnet-4.5"),
    ("messages", "openai_chat", "/v1/messages", "openai/gpt-oss-120b"),
    ("messages", "anthropic_messages", "/v1/messages", "anthropic/claude-sonnet-4.5"),
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TOKEN = "word"


def main() -> None:
    """Print the table, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000, help="open at once, for each figure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt-bytes", type=int, default=len(QUESTION), help="size of each prompt")
    parser.add_argument("--write", action="store_true", help="put the table into docs/speed.md")
    options = parser.parse_args()
    lines = ["| client's API | provider's format | streams | kB a stream | of all rounds |", "|---|---|---|---|---|"]
    for skin, wire_format, path, model in ROWS:
        found = [
            uvloop.run(measure(path, model, options.streams, options.prompt_bytes)) / 1000
            for _ in range(options.rounds)
        ]
        spread = f"{min(found):.1f} to {max(found):.1f}"
        lines.append(f"| {skin} | {wire_format} | {options.streams:,} | {statistics.median(found):.1f} | {spread} |")
    print("\n".join(lines))
    if options.write:
        write_between(PAGE, "<!-- idle streams", "\n".join(lines))


async def measure(path: str, model: str, count: int, prompt_bytes: int) -> float:
    """Return the bytes by which the router's resident memory grows for each of ``count`` streams."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        upstream = await loop.create_server(SilentProvider, "127.0.0.1", 0)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portolan-bench-"))
        key = create_key(open_database(Lake(Path(folder)).create().database), "bench")
        port = free_port()
        lab = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
        serve = ("portolan", "serve", "--port", str(port), "--data-dir", folder)
        process = start(stack, 0, *serve, PORTOLAN_LAB_URL=lab)
        await asyncio.to_thread(wait_for, port)
        prompt = (QUESTION * (prompt_bytes // len(QUESTION) + 1))[:prompt_bytes]
        body = {"model": model, "max_tokens": 500, "stream": True, "messages": [{"role": "user", "content": prompt}]}
        request = _request(path, key, json.dumps(body).encode())
        # The warm-up leaves fewer connections open than are measured, and the others are closed.
        kept = await _opened(port, request, count // 10)
        for client in await _opened(port, request, count // 10):
            client.close()
        await asyncio.sleep(SETTLING_S)
        before = resident_bytes(process.pid)
        streams = await _opened(port, request, count)
        await asyncio.sleep(SETTLING_S)
        after = resident_bytes(process.pid)
        if any(client.ended for client in (*kept, *streams)):
            raise SystemExit("a stream has ended before it was measured")
        for client in (*kept, *streams):
            client.close()
        # The router ends the calls of clients that have gone; a stop would report each of them.
        await asyncio.sleep(2)
        upstream.close()
        return (after - before) / count


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, without that of its children."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class SilentProvider(asyncio.Protocol):
    """Answer a request with the first token of a stream, in the format of its path, and say nothing more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"}"):
            format_events = _messages_events if b"/messages " in self._received[:300] else _chat_events
            content = format_events()
            self._transport.write(HEAD + b"%x\r\n%b\r\n" % (len(content), content))
            self._received = b""


class _Client(asyncio.Protocol):
    """Send one request, and know when its first token has come."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.began.done():
            return
        self._received += data
        if TOKEN.encode() in self._received:
            self.began.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if not self.began.done():
            self.began.set_exception(ConnectionError(f"{exc}: no stream, but {self._received[:500]!r}"))

    def close(self) -> None:
        self._transport.abort()


async def _opened(port: int, request: bytes, count: int) -> list[_Client]:
    """Open ``count`` streams, and return when each has had its first token."""
    loop = asyncio.get_running_loop()
    found: list[_Client] = []
    while len(found) < count:
        size = min(AT_ONCE, count - len(found))
        made = [loop.create_connection(lambda: _Client(request), "127.0.0.1", port) for _ in range(size)]
        clients = [client for _, client in await asyncio.gather(*made)]
        await asyncio.wait_for(asyncio.gather(*(client.began for client in clients)), 60)
        found += clients
    return found


def _request(path: str, key: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _chat_events() -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": TOKEN}, "finish_reason": None}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _messages_events() -> bytes:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 1},
    }  # fmt: skip
    events = (
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TOKEN}},
    )
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


if __name__ == "__main__":
    main()
