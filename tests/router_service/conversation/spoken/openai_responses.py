"""Read requests and answers of OpenAI's Responses API."""

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

NAME = "openai_responses"


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


def _response_output(answer: bytes, streamed: bool) -> list[dict[str, Any]]:
    response = stream_events(answer)[-1]["response"] if streamed else json.loads(answer)
    found: list[dict[str, Any]] = response["output"]
    return found


def _response_items(answer: bytes, streamed: bool) -> list[Item]:
    return [found for item in _response_output(answer, streamed) for found in sealed_item(item)]


def summary_text(answer: bytes, streamed: bool, items: list[Item]) -> str:
    """Return the summaries of the reasoning of an answer."""
    output = _response_output(answer, streamed)
    return "".join(part["text"] for item in output for part in item.get("summary", ()))


def _received_responses(body: dict[str, Any]) -> Received:
    found = Received()
    assert body["instructions"] == SYSTEM and body["store"] is False
    goes_on = False
    for item in body["input"]:
        if item.get("role") == "user" or item["type"] == "function_call_output":
            _add_given(item, found)
            goes_on = False
            continue
        if not goes_on:
            found.assistant.append([])
        found.assistant[-1] += sealed_item(item)
        goes_on = True
    return found


def _add_given(item: dict[str, Any], found: Received) -> None:
    given = item.get("content", item.get("output"))
    parts = [{"type": "input_text", "text": given}] if isinstance(given, str) else given
    texts = [part["text"] for part in parts if part["type"] == "input_text"]
    images = [part["image_url"] for part in parts if part["type"] == "input_image"]
    found.images += [url.removeprefix("data:image/png;base64,") for url in images]
    if "output" in item:
        found.results[item["call_id"]] = "".join(texts)
    else:
        found.said += texts


RESPONSES_API = SpokenFormat(
    name=NAME,
    places=(
        Place("openai/gpt-5.2-codex", "openai", NAME),
        Place("openai/gpt-5-pro", "openai", NAME),
        Place("x-ai/grok-4.20-multi-agent", "xai", NAME),
    ),
    path=re.compile(r"/responses$"),
    fields=frozenset(
        {
            "model", "input", "instructions", "tools", "max_output_tokens", "reasoning", "include", "store", "stream",
            "stream_options",
        }
    ),
    items=_response_items,
    received=_received_responses,
    call_ids=re.compile("[a-zA-Z0-9_-]{1,64}"),
    returns="provider",
    readable=summary_text,
    losses=("openai", ("gpt-5.2-codex",)),
)  # fmt: skip
