"""Read requests and answers of Cohere's chat, version 2."""

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

NAME = "cohere"
# Cohere wants a text as a result.
EMPTY = "The tool returned nothing."


def chat_message_items(answer: bytes, streamed: bool) -> list[Item]:
    """Return the items of an answer: its plan, its content and its calls."""
    return _message_items(_streamed_message(answer) if streamed else json.loads(answer)["message"])


def _message_items(message: dict[str, Any]) -> list[Item]:
    content, plan = message.get("content") or [], message.get("tool_plan")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    found: list[Item] = [
        ("text", block["text"]) if block["type"] == "text" else ("thinking", block["thinking"], None)
        for block in blocks
    ]
    if not message.get("tool_calls"):
        return found
    # A turn with calls has a plan alone: what was thought before goes back in front of it.
    plans = [*(item[1] for item in found), *([plan] if plan else [])]
    found = [("plan", "".join(plans))] if plans else []
    for call in message["tool_calls"]:
        function = call["function"]
        found.append(("call", call["id"], _given_name(function["name"]), json.loads(function["arguments"])))
    return found


def _given_name(sent: str) -> str:
    """Return the client's name of a function: one that is no identifier is sent as one, with a hash."""
    changed = re.fullmatch(r"(\w+)_[0-9a-f]{12}", sent)
    return changed[1].replace("_", "-") if changed else sent


def _streamed_message(answer: bytes) -> dict[str, Any]:
    plan, content, calls = "", {}, {}
    for event in stream_events(answer):
        message = (event.get("delta") or {}).get("message") or {}
        match event["type"]:
            case "tool-plan-delta":
                plan += message["tool_plan"]
            case "content-start":
                content[event["index"]] = dict(message["content"])
            case "content-delta":
                for name, text in message["content"].items():
                    content[event["index"]][name] += text
            case "tool-call-start":
                calls[event["index"]] = message["tool_calls"]
            case "tool-call-delta":
                calls[event["index"]]["function"]["arguments"] += message["tool_calls"]["function"]["arguments"]
    return {"tool_plan": plan, "content": list(content.values()), "tool_calls": list(calls.values())}


def _received_chat_messages(body: dict[str, Any]) -> Received:
    found = Received()
    first, *rest = body["messages"]
    assert first == {"role": "system", "content": SYSTEM}
    for message in rest:
        if message["role"] == "assistant":
            found.assistant.append(_message_items(message))
            continue
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = [part["text"] for part in parts if part["type"] == "text"]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        found.images += [url.removeprefix("data:image/png;base64,") for url in urls]
        if message["role"] == "tool":
            found.results[message["tool_call_id"]] = "".join(texts).removeprefix(EMPTY)
        else:
            found.said += [text for text in texts if not text.startswith("Attached to the result of ")]
    return found


COHERE_CHAT = SpokenFormat(
    name=NAME,
    places=(
        Place("cohere/command-a-reasoning-08-2025", "cohere", NAME),
        Place("cohere/command-a", "cohere", NAME),
    ),
    path=re.compile(r"/v[12]/chat$"),
    fields=frozenset({"model", "messages", "tools", "max_tokens", "thinking", "stream"}),
    items=chat_message_items,
    received=_received_chat_messages,
    call_ids=re.compile("[!-~]{1,}"),
    returns="model",
    proves=False,
    takes_budget=lambda model: "reasoning" in model,
    row_places={"image in": Place("cohere/command-a-vision-07-2025", "cohere", NAME)},
    instead={"redacted": "thinking"},
    notes={"reasoning": "Cohere counts no tokens of reasoning; they are among those of the completion."},
    losses=("cohere", ("command-a-reasoning-08-2025", "command-a-03-2025")),
)
