"""Measure the cost of one translated chunk of a stream, from a provider's bytes to the client's.

``python -m benchmarks.translation``. Each chunk of a stream goes alone through the parser of its framing, the decoder
of the provider's format, the redaction of the provider's key and the renderer of the client's API. The table has the
5th percentile, which is the cost when nothing else wants the processor, and the median, both in microseconds. Chunks of
the chat dialect are read as events here; the router splices most of them, which costs less.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from benchmarks.tables import write_between
from data.catalogue import load_catalogue
from lab.bedrock_frames import event_frame
from router_service.api.skins.chat.render import ResponseHead
from router_service.api.skins.chat.stream import ChatStreamRenderer
from router_service.api.skins.messages.stream import MessagesStreamRenderer
from router_service.api.skins.responses.echo import echo_of
from router_service.api.skins.responses.stream import ResponseRenderer
from router_service.core.events import Event
from router_service.core.exchange import Exchange
from router_service.core.request import Request
from router_service.providers.formats import FORMATS
from router_service.providers.redaction import SecretRedactor
from router_service.providers.stream_redaction import StreamRedactor
from router_service.providers.wire_format import DecodeContext
from router_service.upstream.framing import aws_event_stream
from router_service.upstream.framing.selection import stream_parser
from router_service.upstream.framing.sse import DEFAULT_MAX_EVENT_BYTES

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
CHUNKS = 1000
CATALOGUE = load_catalogue()
KINDS = ("text", "tool arguments", "thinking")
# A key as vendors make them.
SECRETS = SecretRedactor(["sk-proj-" + "aB3dE" * 30])
GENERATION = "gen-1764434466-0123456789abcdef0123"


class EventRenderer(Protocol):
    """Render events, as the renderers of all client APIs do."""

    def feed(self, events: list[Event]) -> bytes: ...


def main() -> None:
    """Print the table, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help=f"streams of {CHUNKS} chunks for each row")
    parser.add_argument("--write", action="store_true", help="put the table into docs/speed.md")
    options = parser.parse_args()
    found = table(options.rounds)
    print(found)
    if options.write:
        write_between(PAGE, "<!-- translation", found)


def table(rounds: int) -> str:
    """Return the table as Markdown. The rows are measured in turn, so that a slow spell meets all of them."""
    cells = [(wire_format, skin, kind) for wire_format in STREAMS for skin in RENDERERS for kind in KINDS]
    times: dict[tuple[str, str, str], list[float]] = {cell: [] for cell in cells}
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for wire_format, skin, kind in cells:
            pieces = STREAMS[wire_format](kind)
            times[wire_format, skin, kind] += chunk_times(pieces, wire_format, RENDERERS[skin]())
    lines = ["| provider's format | client's API | chunk | p5 µs | median µs |", "|---|---|---|---|---|"]
    for (wire_format, skin, kind), found in times.items():
        low = statistics.quantiles(found, n=20)[0]
        lines.append(f"| {wire_format} | {skin} | {kind} | {low:.1f} | {statistics.median(found):.1f} |")
    return "\n".join(lines)


def chunk_times(pieces: list[bytes], wire_format: str, renderer: EventRenderer) -> list[float]:
    """Return the microseconds for each of ``pieces`` but the first, which opens the stream."""
    parser = stream_parser(CONTENT_TYPES.get(wire_format), DEFAULT_MAX_EVENT_BYTES)
    origin = f"{wire_format}/provider"
    decoder = FORMATS[wire_format].decoder(DecodeContext(generation_id=GENERATION, origin=origin))
    redactor = StreamRedactor(SECRETS)
    times = []
    rendered = 0
    for piece in pieces:
        begun = time.perf_counter_ns()
        for event, data in parser.feed(piece):
            batch = decoder.feed(event, data)
            if batch is not None:
                for redacted in redactor.take([batch]):
                    rendered += len(renderer.feed(redacted.events()))
        times.append((time.perf_counter_ns() - begun) / 1000)
    if rendered < sum(map(len, pieces)) / 20:
        raise SystemExit(f"{wire_format}: the renderer has written {rendered} bytes for {len(pieces)} chunks")
    return times[1:]


def _word(number: int) -> str:
    return f" word{number}"


def _member(number: int) -> str:
    """Return the next piece of a JSON object; a model writes a member in about three pieces."""
    comma = "{" if number == 0 else ","
    return (f'{comma}"field{number}"', ': "the harbour', ' at Genoa"')[number % 3]


def messages_stream(kind: str) -> list[bytes]:
    """Return a stream of the messages format; its first piece opens the message and its block."""
    started: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 1},
    }  # fmt: skip
    block, delta, field, piece = {
        "text": ({"type": "text", "text": ""}, "text_delta", "text", _word),
        "thinking": ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking", _word),
        "tool arguments": (
            {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}},
            "input_json_delta",
            "partial_json",
            _member,
        ),
    }[kind]
    head = _named({"type": "message_start", "message": started})
    head += _named({"type": "content_block_start", "index": 0, "content_block": block})
    deltas = ({"type": delta, field: piece(number)} for number in range(CHUNKS))
    return [head, *(_named({"type": "content_block_delta", "index": 0, "delta": one}) for one in deltas)]


def chat_stream(kind: str) -> list[bytes]:
    """Return a stream of the chat format; its first piece opens the message, and a call."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "find", "arguments": ""}}
    first: dict[str, Any] = {"role": "assistant", "content": None}
    if kind == "tool arguments":
        first["tool_calls"] = [call]

    def delta(number: int) -> dict[str, Any]:
        if kind == "tool arguments":
            return {"tool_calls": [{"index": 0, "function": {"arguments": _member(number)}}]}
        return {"content" if kind == "text" else "reasoning_content": _word(number)}

    return [_chunk(first), *(_chunk(delta(number)) for number in range(CHUNKS))]


def responses_stream(kind: str) -> list[bytes]:
    """Return a stream of the Responses format; its first piece opens the response and its item."""
    stem, item, piece = {
        "text": ("output_text", {"type": "message", "id": "msg_1", "role": "assistant", "content": []}, _word),
        "thinking": ("reasoning_summary_text", {"type": "reasoning", "id": "rs_1", "summary": []}, _word),
        "tool arguments": (
            "function_call_arguments",
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find", "arguments": ""},
            _member,
        ),
    }[kind]
    head = _named({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}})
    head += _named({"type": "response.output_item.added", "output_index": 0, "item": item})
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0, "content_index": 0, "summary_index": 0}
    more = {"logprobs": []} if kind == "text" else {}
    return [
        head,
        *(
            _named({"type": f"response.{stem}.delta", "delta": piece(n), "sequence_number": n + 2} | place | more)
            for n in range(CHUNKS)
        ),
    ]


def _named(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _chunk(delta: dict[str, Any]) -> bytes:
    chunk = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764434466, "model": "m",
        "system_fingerprint": "fp_1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }  # fmt: skip
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _messages_renderer() -> EventRenderer:
    return MessagesStreamRenderer(GENERATION, "any/model")


def _chat_renderer() -> EventRenderer:
    return ChatStreamRenderer(ResponseHead(id=GENERATION, created=1764434466, model="any/model", provider="Provider"))


def _responses_renderer() -> EventRenderer:
    exchange = Exchange(Request(GENERATION, 1764434466.0, 0.0, "responses", {}))
    return ResponseRenderer(exchange, CATALOGUE, echo_of({}), {})


def gemini_stream(kind: str) -> list[bytes]:
    """Return a stream of generateContent; calls come in whole, so that each piece is one."""
    usage = {
        "promptTokenCount": 9,
        "totalTokenCount": 9,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
    }

    def chunk(part: dict[str, Any]) -> bytes:
        candidate = {"content": {"parts": [part], "role": "model"}, "index": 0}
        body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3-flash", "responseId": "r"}
        return f"data: {json.dumps(body)}\n\n".encode()

    def part(number: int) -> dict[str, Any]:
        if kind == "tool arguments":
            return {"functionCall": {"name": "find", "args": {"place": _word(number)}}}
        return {"text": _word(number)} | ({"thought": True} if kind == "thinking" else {})

    return [chunk(part(0)), *(chunk(part(number)) for number in range(CHUNKS))]


def converse_stream(kind: str) -> list[bytes]:
    """Return a stream of Converse; its first piece opens the block."""

    def delta(number: int) -> bytes:
        one: dict[str, Any] = {"text": _word(number)}
        if kind == "tool arguments":
            one = {"toolUse": {"input": _member(number)}}
        elif kind == "thinking":
            one = {"reasoningContent": one}
        return event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": one})

    start = {"toolUse": {"toolUseId": "tooluse_1", "name": "find"}}
    opened = event_frame("contentBlockStart", {"contentBlockIndex": 0, "start": start})
    head = opened if kind == "tool arguments" else delta(0)
    return [event_frame("messageStart", {"role": "assistant"}) + head, *(delta(number) for number in range(CHUNKS))]


def cohere_stream(kind: str) -> list[bytes]:
    """Return a stream of Cohere's chat; its first piece opens the message, and its content or its call."""
    call = {"id": "find_1", "type": "function", "function": {"name": "find", "arguments": ""}}

    def event(name: str, message: dict[str, Any]) -> bytes:
        return _named({"type": name, "index": 0, "delta": {"message": message}})

    def delta(number: int) -> bytes:
        if kind == "tool arguments":
            return event("tool-call-delta", {"tool_calls": {"function": {"arguments": _member(number)}}})
        return event("content-delta", {"content": {kind: _word(number)}})

    head = _named({"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}})
    if kind == "tool arguments":
        head += event("tool-call-start", {"tool_calls": call})
    else:
        head += event("content-start", {"content": {"type": kind, kind: ""}})
    return [head, *(delta(number) for number in range(CHUNKS))]


# Those of streams that are no server-sent events.
CONTENT_TYPES = {"bedrock_converse": aws_event_stream.CONTENT_TYPE}
STREAMS: dict[str, Callable[[str], list[bytes]]] = {
    "anthropic_messages": messages_stream,
    "bedrock_converse": converse_stream,
    "cohere": cohere_stream,
    "gemini": gemini_stream,
    "openai_chat": chat_stream,
    "openai_responses": responses_stream,
}
RENDERERS: dict[str, Callable[[], EventRenderer]] = {
    "messages": _messages_renderer,
    "chat": _chat_renderer,
    "responses": _responses_renderer,
}

if __name__ == "__main__":
    main()
