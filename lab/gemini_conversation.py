"""Read from a generateContent request what a scripted model needs to know."""

from __future__ import annotations

import json
from typing import Any

from lab.conversation import Conversation, OfferedTool, encoded_bytes, marker_of
from lab.gemini_history import calls_of, responses_of


def read_contents(body: dict[str, Any]) -> Conversation:
    """Read a generateContent request."""
    contents = body["contents"]
    config = body.get("generationConfig") or {}
    texts: list[str] = [""]
    results: list[str] = []
    images: list[str] = []
    documents: list[str] = []
    for content in contents:
        parts = content.get("parts") or []
        answers = responses_of({"parts": parts})
        text = "".join(part.get("text") or "" for part in parts)
        if content.get("role", "user") == "user":
            if answers:
                # Agents add reminders to results; only one with a marker changes the script.
                texts.append(text)
            else:
                texts, results = [text], []
        results += [_output(answer.get("response") or {}) for answer in answers]
        for part in parts if content.get("role", "user") == "user" else ():
            found = part.get("inlineData") or part.get("fileData")
            if found is not None:
                images += [_pictured(found)] if str(found.get("mimeType")).startswith("image/") else []
                documents += [str(found["data"])] if found.get("mimeType") == "text/plain" and "data" in found else []
    scenario, argument = marker_of(texts)
    return Conversation(
        scenario,
        argument,
        _functions(body),
        tuple(results),
        tuple(images),
        tuple(documents),
        tuple(config.get("stopSequences") or ()),
        config.get("maxOutputTokens"),
        thinks=bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
        continues=contents[-1].get("role") == "model",
        choices=config.get("candidateCount") or 1,
        logprobs=bool(config.get("responseLogprobs")),
        schema=config.get("responseJsonSchema"),
        json_mode=config.get("responseMimeType") == "application/json",
        prompt=texts[0],
    )


def content_characters(body: dict[str, Any]) -> int:
    """Return the number of characters of text in the request."""
    contents = [body.get("systemInstruction") or {}, *body["contents"]]
    return sum(len(part.get("text") or "") for content in contents for part in content.get("parts") or ())


def is_answered(body: dict[str, Any]) -> bool:
    """Return whether the conversation ends with responses to calls."""
    contents = body["contents"]
    return len(contents) > 1 and bool(calls_of(contents[-2])) and bool(responses_of(contents[-1]))


def _functions(body: dict[str, Any]) -> tuple[OfferedTool, ...]:
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if config.get("mode") == "NONE":
        return ()
    allowed = config.get("allowedFunctionNames")
    declared = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    return tuple(
        OfferedTool(one["name"], one.get("parametersJsonSchema") or one.get("parameters") or {})
        for one in declared
        if not allowed or one["name"] in allowed
    )


def _output(response: dict[str, Any]) -> str:
    found = response.get("output", response.get("error", response))
    return found if isinstance(found, str) else json.dumps(found)


def _pictured(found: dict[str, Any]) -> str:
    data = found.get("data")
    if data is None:
        return f"an image at {str(found.get('fileUri'))[:200]}"
    return f"{found['mimeType']} of {encoded_bytes(data)} bytes"
