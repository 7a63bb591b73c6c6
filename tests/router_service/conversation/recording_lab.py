"""Keep what a lab's providers received and answered, apart from how the router read either."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lab.intake import read_body
from lab.server import BodyReader, Lab
from lab.wire import Wire

ANTHROPIC, CHAT, RESPONSES, GEMINI = "anthropic_messages", "openai_chat", "openai_responses", "gemini"
_PATHS = {"messages": ANTHROPIC, "completions": CHAT, "responses": RESPONSES}
DUMMY = "skip_thought_signature_validator"
Item = tuple[Any, ...]


@dataclass
class LabExchange:
    """Hold one request as a provider received it, and the bytes of its answer."""

    provider: str
    wire_format: str
    body: dict[str, Any]
    text: str
    answer: bytearray = field(default_factory=bytearray)

    def items(self) -> list[Item]:
        """Return what the provider answered, in order.

        Items are ``("text", text)``, ``("call", id, name, arguments)``, ``("thinking", text, signature)``,
        ``("redacted", data)``, ``("sealed", encrypted reasoning)`` and ``("signed", content, signature)`` for a part of
        Google's; arguments are decoded JSON.
        """
        if self.wire_format == GEMINI:
            return _content_items(bytes(self.answer))
        if self.wire_format == RESPONSES:
            return _response_items(bytes(self.answer), bool(self.body.get("stream")))
        if self.wire_format == CHAT:
            return _chat_items(_chat_message(bytes(self.answer), bool(self.body.get("stream"))))
        if self.body.get("stream"):
            return [item_of(block) for block in streamed_blocks(bytes(self.answer))]
        return [item_of(block) for block in json.loads(self.answer)["content"]]

    def proofs(self) -> list[str]:
        """Return the signatures and the encrypted reasoning of the answer."""
        return [item[-1] for item in self.items() if item[0] in ("thinking", "redacted", "sealed")]

    def readable_reasoning(self) -> str:
        """Return the reasoning that the provider shows."""
        if self.wire_format != RESPONSES:
            return "".join(item[1] for item in self.items() if item[0] == "thinking")
        output = _response_output(bytes(self.answer), bool(self.body.get("stream")))
        return "".join(part["text"] for item in output for part in item.get("summary", ()))


@dataclass
class RecordingLab(Lab):
    """Append every request to ``exchanges``, which labs may share."""

    exchanges: list[LabExchange] = field(default_factory=list)

    async def answer(
        self,
        provider: str,
        request: Request,
        wire: Wire,
        address: Mapping[str, Any] | None = None,
        read: BodyReader = read_body,
    ) -> Response:
        body = await request.body()
        wire_format = _PATHS.get(request.url.path.rpartition("/")[2], GEMINI)
        exchange = LabExchange(provider, wire_format, json.loads(body), body.decode())
        self.exchanges.append(exchange)
        response = await super().answer(provider, request, wire, address, read)
        if isinstance(response, StreamingResponse):
            response.body_iterator = _copied(response.body_iterator, exchange.answer)  # type: ignore[arg-type]
        else:
            exchange.answer += bytes(response.body)
        return response


async def _copied(pieces: AsyncGenerator[bytes], into: bytearray) -> AsyncIterator[bytes]:
    # The lab counts a stream as cancelled when it is closed, which without this waits for the garbage collector.
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            into += piece
            yield piece


def item_of(block: dict[str, Any]) -> Item:
    """Return the item for a content block of the messages format."""
    match block:
        case {"type": "text"}:
            return "text", block["text"]
        case {"type": "tool_use"}:
            return "call", block["id"], block["name"], block["input"]
        case {"type": "thinking"}:
            return "thinking", block["thinking"], block["signature"]
        case {"type": "redacted_thinking"}:
            return "redacted", block["data"]
    raise AssertionError(block)


def chat_call(call: dict[str, Any]) -> Item:
    """Return the item for a call of the chat format; the arguments of a custom tool are a text."""
    if "custom" in call:
        return "call", call["id"], call["custom"]["name"], call["custom"]["input"]
    return "call", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])


def sealed_item(item: dict[str, Any]) -> list[Item]:
    """Return what an item of the Responses format says: its texts, its call or its encrypted reasoning."""
    match item:
        case {"type": "message"}:
            return [("text", part["text"]) for part in item["content"]]
        case {"type": "function_call"}:
            return [("call", item["call_id"], item["name"], json.loads(item["arguments"]))]
        case {"type": "custom_tool_call"}:
            return [("call", item["call_id"], item["name"], item["input"])]
        case {"type": "reasoning"}:
            return [("sealed", item["encrypted_content"])]
    raise AssertionError(item)


def part_items(part: dict[str, Any]) -> list[Item]:
    """Return what a part of a content of Google's says, and its signature."""
    signature = part.get("thoughtSignature")
    match part:
        case {"text": text, "thought": True}:
            return [("thinking", text, signature)]
        case {"text": text}:
            found: list[Item] = [("text", text)] if text else []
            return found + ([("signed", text, signature)] if signature and signature != DUMMY else [])
        case {"functionCall": call}:
            said: Item = ("call", call.get("id"), call["name"], call["args"])
            return [said, *([("signed", call["name"], signature)] if signature and signature != DUMMY else [])]
    raise AssertionError(part)


def _content_items(answer: bytes) -> list[Item]:
    """Return the items of an answer of Google's; the pieces of a text are joined, and its signature covers it."""
    chunks = _events(answer) if answer.startswith(b"data: ") else [json.loads(answer)]
    parts: list[dict[str, Any]] = []
    for chunk in chunks:
        for part in chunk["candidates"][0]["content"].get("parts", ()):
            last = parts[-1] if parts else {}
            if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
                parts[-1] = last | part | {"text": last["text"] + part["text"]}
            else:
                parts.append(part)
    return [item for part in parts for item in part_items(part)]


def _response_output(answer: bytes, streamed: bool) -> list[dict[str, Any]]:
    response = _events(answer)[-1]["response"] if streamed else json.loads(answer)
    found: list[dict[str, Any]] = response["output"]
    return found


def _response_items(answer: bytes, streamed: bool) -> list[Item]:
    return [found for item in _response_output(answer, streamed) for found in sealed_item(item)]


def _chat_items(message: dict[str, Any]) -> list[Item]:
    content = _chat_text(message.get("content"))
    return [*([("text", content)] if content else []), *(chat_call(call) for call in message.get("tool_calls") or ())]


def _chat_text(content: Any) -> str:
    """Return the text of content; reasoning among its parts is none."""
    parts = content if isinstance(content, list) else []
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in parts)


def _chat_message(answer: bytes, streamed: bool) -> dict[str, Any]:
    """Return the message of an answer, whatever the shape in which the vendor streams its calls."""
    if not streamed:
        message: dict[str, Any] = json.loads(answer)["choices"][0]["message"]
        return message
    text, calls = "", {}
    for chunk in _events(answer):
        for choice in chunk["choices"]:
            text += _chat_text(choice["delta"].get("content"))
            for piece in choice["delta"].get("tool_calls") or ():
                place = piece["index"] if "index" in piece else piece["id"]
                kind, field = ("custom", "input") if piece.get("custom") else ("function", "arguments")
                call = calls.setdefault(place, {"id": piece.get("id"), kind: {field: ""}})
                call[kind]["name"] = piece[kind].get("name") or call[kind]["name"]
                call[kind][field] += piece[kind].get(field) or ""
    return {"content": text, "tool_calls": list(calls.values())}


def streamed_blocks(answer: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for event in _events(answer):
        if event["type"] == "content_block_start":
            found.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], found[event["index"]]
            if delta["type"] == "input_json_delta":
                block["partial"] = block.get("partial", "") + delta["partial_json"]
            else:
                name = delta["type"].removesuffix("_delta")
                block[name] = block.get(name, "") + delta[name]
        elif event["type"] == "content_block_stop" and "partial" in found[event["index"]]:
            found[event["index"]]["input"] = json.loads(found[event["index"]].pop("partial"))
    return found


def _events(answer: bytes) -> list[dict[str, Any]]:
    lines = (line.removeprefix("data: ") for line in answer.decode().splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]
