"""Read requests and answers of the messages format."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.router_service.conversation.spoken.spoken_format import (
    SYSTEM,
    Item,
    Place,
    Received,
    SpokenFormat,
    stream_events,
)

NAME = "anthropic_messages"


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


def streamed_blocks(answer: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for event in stream_events(answer):
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


def block_items(answer: bytes, streamed: bool) -> list[Item]:
    """Return the items of an answer."""
    blocks = streamed_blocks(answer) if streamed else json.loads(answer)["content"]
    return [item_of(block) for block in blocks]


def _received_messages(body: dict[str, Any]) -> Received:
    found = Received()
    assert [block["text"] for block in body["system"]] == [SYSTEM]
    for message in body["messages"]:
        if message["role"] == "assistant":
            found.assistant.append([item_of(block) for block in message["content"]])
            continue
        for block in message["content"]:
            inner = block.get("content", []) if block["type"] == "tool_result" else [block]
            texts = [part["text"] for part in inner if part["type"] == "text"]
            found.images += [part["source"]["data"] for part in inner if part["type"] == "image"]
            if block["type"] == "tool_result":
                found.results[block["tool_use_id"]] = "".join(texts)
            else:
                found.said += texts
    return found


MESSAGES = SpokenFormat(
    name=NAME,
    places=(
        Place("anthropic/claude-sonnet-4.5", "anthropic", NAME),
        Place("anthropic/claude-opus-4.6", "anthropic", NAME),
        Place("anthropic/claude-haiku-4.5", "anthropic", NAME),
        Place("minimax/minimax-m2.7", "minimax", NAME),
    ),
    path=re.compile(r"/messages$"),
    fields=frozenset({"model", "max_tokens", "system", "messages", "tools", "thinking", "output_config", "stream"}),
    items=block_items,
    received=_received_messages,
    call_ids=re.compile("[a-zA-Z0-9_-]{1,64}"),
    returns="provider",
    takes_budget=lambda _: True,
    begins_with_thinking=True,
    marks_cache=True,
    losses=("anthropic", ("claude-sonnet-4-5", "claude-opus-4-7")),
)
