"""Read from a Converse request what a scripted model needs to know."""

from __future__ import annotations

import json
from typing import Any

from lab.conversation import Conversation, OfferedTool, encoded_bytes, marker_of
from lab.text import decoded_text

Block = dict[str, Any]


def read_converse(body: dict[str, Any]) -> Conversation:
    """Read a Converse request."""
    texts: list[str] = [""]
    results: list[str] = []
    images: list[str] = []
    documents: list[str] = []
    for message in body["messages"]:
        content = message["content"]
        answers = [block["toolResult"] for block in content if "toolResult" in block]
        text = "".join(block.get("text") or "" for block in content)
        if message["role"] == "user" and not answers:
            texts, results = [text], []
        elif answers:
            # Agents add reminders to tool results; only one with a marker changes the script.
            texts.append(text + "".join(_told(answer) for answer in answers if not text))
        results += [_told(answer) for answer in answers]
        for block in content + [inner for answer in answers for inner in answer["content"]]:
            if "image" in block:
                images.append(_pictured(block["image"]))
            source = block.get("document", {}).get("source", {})
            if block.get("document", {}).get("format") == "txt" and "bytes" in source:
                documents.append(decoded_text(source["bytes"]))
    config, own = body.get("inferenceConfig") or {}, body.get("additionalModelRequestFields") or {}
    scenario, argument = marker_of(texts)
    return Conversation(
        scenario,
        argument,
        _offered(body),
        tuple(results),
        tuple(images),
        tuple(documents),
        tuple(config.get("stopSequences") or ()),
        config.get("maxTokens"),
        thinks=_thinks(own),
        continues=body["messages"][-1]["role"] == "assistant",
        schema=_schema(body),
        prompt=texts[0],
    )


def converse_characters(body: dict[str, Any]) -> int:
    """Return the number of characters of text in the request."""
    blocks = [*(body.get("system") or ()), *(b for message in body["messages"] for b in message["content"])]
    inner = [one for block in blocks for one in block.get("toolResult", {}).get("content", ())]
    return sum(len(block.get("text") or "") for block in [*blocks, *inner])


def is_answered(body: dict[str, Any]) -> bool:
    """Return whether the conversation ends with results of tools."""
    return any("toolResult" in block for block in body["messages"][-1]["content"])


def _thinks(own: dict[str, Any]) -> bool:
    thinking = own.get("thinking") or own.get("reasoningConfig") or {}
    return thinking.get("type") in ("enabled", "adaptive") or "reasoning_effort" in own


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    form = (body.get("outputConfig") or {}).get("textFormat") or {}
    text = form.get("structure", {}).get("jsonSchema", {}).get("schema")
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


def _offered(body: dict[str, Any]) -> tuple[OfferedTool, ...]:
    config = body.get("toolConfig") or {}
    wanted = ((config.get("toolChoice") or {}).get("tool") or {}).get("name")
    specs = [tool["toolSpec"] for tool in config.get("tools") or () if "toolSpec" in tool]
    return tuple(
        OfferedTool(spec["name"], spec["inputSchema"]["json"]) for spec in specs if wanted in (None, spec["name"])
    )


def _told(result: Block) -> str:
    return "".join(
        block.get("text") or (json.dumps(block["json"]) if "json" in block else "") for block in result["content"]
    )


def _pictured(image: Block) -> str:
    source = image["source"]
    if "bytes" in source:
        return f"image/{image['format']} of {encoded_bytes(source['bytes'])} bytes"
    return f"an image at {source['s3Location']['uri'][:200]}"
