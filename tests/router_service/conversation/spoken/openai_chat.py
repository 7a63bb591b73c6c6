"""Read requests and answers of chat completions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.router_service.conversation.spoken.spoken_format import (
    SYSTEM,
    Item,
    Place,
    Received,
    SpokenFormat,
    stream_events,
)

NAME = "openai_chat"
# What Mistral is sent between the results of tools and a turn of the user; no model has said it.
BETWEEN = {"role": "assistant", "content": "OK."}


def chat_call(call: dict[str, Any]) -> Item:
    """Return the item for a call of the chat format; the arguments of a custom tool are a text."""
    if "custom" in call:
        return "call", call["id"], call["custom"]["name"], call["custom"]["input"]
    return "call", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])


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
    for chunk in stream_events(answer):
        for choice in chunk["choices"]:
            text += _chat_text(choice["delta"].get("content"))
            for piece in choice["delta"].get("tool_calls") or ():
                place = piece["index"] if "index" in piece else piece["id"]
                kind, field = ("custom", "input") if piece.get("custom") else ("function", "arguments")
                call = calls.setdefault(place, {"id": piece.get("id"), kind: {field: ""}})
                call[kind]["name"] = piece[kind].get("name") or call[kind]["name"]
                call[kind][field] += piece[kind].get(field) or ""
    return {"content": text, "tool_calls": list(calls.values())}


def message_items(answer: bytes, streamed: bool) -> list[Item]:
    """Return the items of an answer."""
    return _chat_items(_chat_message(answer, streamed))


def _received_chat(body: dict[str, Any]) -> Received:
    found = Received()
    first, *rest = body["messages"]
    assert first == {"role": "system", "content": SYSTEM}
    for message in rest:
        if message == BETWEEN:
            continue
        texts = list(_chat_texts(message))
        if message["role"] == "assistant":
            assert message.keys() <= {"role", "content", "tool_calls", "reasoning", "reasoning_content"}
            said: list[Item] = [("text", text) for text in texts]
            found.assistant.append([*said, *(chat_call(call) for call in message.get("tool_calls", ()))])
            continue
        content = message["content"] if isinstance(message["content"], list) else []
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        found.images += [url.removeprefix("data:image/png;base64,") for url in urls]
        if message["role"] == "tool":
            found.results[message["tool_call_id"]] = "".join(texts)
        else:
            found.said += texts
    return found


def _chat_texts(message: dict[str, Any]) -> Iterator[str]:
    content = message.get("content") or ""
    if isinstance(content, str):
        yield from [content] if content else []
    else:
        yield from (part["text"] for part in content if part["type"] == "text")


COMPLETIONS = SpokenFormat(
    name=NAME,
    places=(
        Place("openai/gpt-5-mini", "openai", NAME),
        Place("openai/gpt-4.1", "openai", NAME),
        Place("mistralai/mistral-medium-3-5", "mistral", NAME),
        Place("deepseek/deepseek-v4-flash", "deepseek", NAME),
        Place("moonshotai/kimi-k2.6", "moonshotai", NAME),
        Place("openai/gpt-oss-120b", "groq", NAME),
    ),
    path=re.compile(r"/completions$"),
    fields=frozenset(
        {
            "model", "messages", "tools", "max_tokens", "max_completion_tokens", "reasoning_effort", "stream",
            "stream_options", "thinking",
        }
    ),
    items=message_items,
    received=_received_chat,
    call_ids=re.compile(r"[!-~]{1,40}"),
    proves=False,
    notes={"reasoning": "OpenAI shows no reasoning in chat completions; the count of its tokens arrives."},
)  # fmt: skip
