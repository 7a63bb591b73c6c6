"""Read requests and answers of Amazon Bedrock's Converse."""

from __future__ import annotations

import json
import re
from typing import Any

from botocore.eventstream import EventStreamBuffer

from tests.router_service.conversation.spoken.spoken_format import SYSTEM, Item, Place, Received, SpokenFormat

NAME = "bedrock_converse"
# Bedrock wants content in a result.
EMPTY = "(empty)"


def converse_item(block: dict[str, Any]) -> Item:
    """Return the item for a content block of Converse."""
    match block:
        case {"text": text}:
            return "text", text
        case {"toolUse": use}:
            return "call", use["toolUseId"], use["name"], use["input"]
        case {"reasoningContent": {"reasoningText": thought}}:
            return "thinking", thought["text"], thought.get("signature")
        case {"reasoningContent": {"redactedContent": data}}:
            return "redacted", data
    raise AssertionError(block)


def converse_items(answer: bytes, streamed: bool) -> list[Item]:
    """Return the items of an answer; a stream is read by Amazon's own parser."""
    blocks = _streamed_blocks(answer) if streamed else json.loads(answer)["output"]["message"]["content"]
    return [converse_item(block) for block in blocks]


def _streamed_blocks(answer: bytes) -> list[dict[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(answer)
    found: dict[int, dict[str, Any]] = {}
    for message in buffer:
        event, kind = json.loads(message.payload), message.headers[":event-type"]
        if kind == "contentBlockStart":
            found[event["contentBlockIndex"]] = {"toolUse": event["start"]["toolUse"] | {"input": ""}}
        elif kind == "contentBlockDelta":
            _add(found.setdefault(event["contentBlockIndex"], {}), event["delta"])
    blocks = [found[index] for index in sorted(found)]
    for block in blocks:
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return blocks


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "redactedContent" in delta["reasoningContent"]:
        block["reasoningContent"] = delta["reasoningContent"]
    else:
        thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        for name, text in delta["reasoningContent"].items():
            thought[name] = thought.get(name, "") + text


def _received_converse(body: dict[str, Any]) -> Received:
    found = Received()
    assert [block["text"] for block in body["system"] if "text" in block] == [SYSTEM]
    for message in body["messages"]:
        blocks = [block for block in message["content"] if "cachePoint" not in block]
        if message["role"] == "assistant":
            found.assistant.append([converse_item(block) for block in blocks])
            continue
        for block in blocks:
            inner = block["toolResult"]["content"] if "toolResult" in block else [block]
            texts = [part["text"] for part in inner if "text" in part]
            found.images += [part["image"]["source"]["bytes"] for part in inner if "image" in part]
            if "toolResult" in block:
                found.results[block["toolResult"]["toolUseId"]] = "".join(texts).removeprefix(EMPTY)
            else:
                found.said += texts
    return found


CONVERSE = SpokenFormat(
    name=NAME,
    places=(
        Place("anthropic/claude-sonnet-4.5", "amazon-bedrock", NAME),
        Place("anthropic/claude-haiku-4.5", "amazon-bedrock", NAME),
    ),
    path=re.compile(r"/converse(-stream)?$"),
    fields=frozenset(
        {"system", "messages", "toolConfig", "inferenceConfig", "additionalModelRequestFields", "outputConfig"}
    ),
    items=converse_items,
    received=_received_converse,
    call_ids=re.compile("[a-zA-Z0-9_-]{1,64}"),
    returns="provider",
    takes_budget=lambda _: True,
    begins_with_thinking=True,
    marks_cache=True,
    losses=("amazon-bedrock", ("anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-2-lite-v1:0")),
    notes={"reasoning": "Bedrock counts no tokens of reasoning; they are among those of the completion."},
)
