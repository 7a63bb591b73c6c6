"""Read requests and answers of Google's generateContent."""

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

NAME = "gemini"
DUMMY = "skip_thought_signature_validator"


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
    chunks = stream_events(answer) if answer.startswith(b"data: ") else [json.loads(answer)]
    parts: list[dict[str, Any]] = []
    for chunk in chunks:
        for part in chunk["candidates"][0]["content"].get("parts", ()):
            last = parts[-1] if parts else {}
            if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
                parts[-1] = last | part | {"text": last["text"] + part["text"]}
            else:
                parts.append(part)
    return [item for part in parts for item in part_items(part)]


def _received_contents(body: dict[str, Any]) -> Received:
    found = Received()
    assert body["systemInstruction"] == {"parts": [{"text": SYSTEM}]}
    for content in body["contents"]:
        if content["role"] == "model":
            found.assistant.append([item for part in content["parts"] for item in part_items(part)])
            continue
        for part in content["parts"]:
            if "functionResponse" in part:
                response = part["functionResponse"]["response"]
                found.results[str(len(found.results))] = response.get("output", response.get("error"))
            elif "inlineData" in part:
                found.images.append(part["inlineData"]["data"])
            elif not part["text"].startswith("Attached to the result of "):
                found.said.append(part["text"])
    return found


CONTENTS = SpokenFormat(
    name=NAME,
    places=(
        Place("google/gemini-3-flash-preview", "google", NAME),
        Place("google/gemini-2.5-flash", "google", NAME),
        Place("google/gemini-3.1-pro-preview", "google", NAME),
        Place("google/gemini-2.0-flash-001", "google", NAME),
    ),
    path=re.compile(r":(?:generate|streamGenerate)Content$"),
    fields=frozenset({"contents", "systemInstruction", "tools", "generationConfig"}),
    items=lambda answer, _: _content_items(answer),
    received=_received_contents,
    call_ids=None,
    returns="provider",
    takes_budget=lambda model: "2.5" in model,
    losses=("google", ("gemini-3-flash-preview", "gemini-2.5-flash-image")),
)
