"""Read from a request what a scripted model needs to know, apart from wire formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MARKER = re.compile(r"\[lab:scenario=([a-z_]+)(?::([^\]\s]*))?\]")
MAX_CHOICES = 128
BASE64_URL = re.compile(r"^data:([^;,]*);base64,(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of the client. A ``custom`` tool takes any text."""

    name: str
    schema: dict[str, Any]
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request as a scripted model sees it.

    ``scenario`` and ``argument`` are those of the marker in the last text of the user, which is ``prompt``; ``results``
    are the tool results after that text. ``images`` describes the images. ``continues`` is true if the last message is
    the assistant's, and ``paused`` is the id of the hosted call that it ends with. ``choices`` is the number of
    responses asked for, and ``schema`` is the one that the text has to follow; ``json_mode`` asks for any JSON object.
    """

    scenario: str | None
    argument: str
    tools: tuple[OfferedTool, ...]
    results: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    max_tokens: int | None = None
    parallel: bool = True
    thinks: bool = False
    continues: bool = False
    paused: str | None = None
    choices: int = 1
    logprobs: bool = False
    schema: dict[str, Any] | None = None
    json_mode: bool = False
    prompt: str = ""


def read_chat(body: dict[str, Any]) -> Conversation:
    """Read a chat completions request."""
    messages = body["messages"]
    texts: list[str] = [""]
    results: list[str] = []
    images: list[str] = []
    answers = False
    for message in messages:
        content = _parts(message.get("content"))
        text = "".join(part.get("text") or "" for part in content)
        if message["role"] == "user" and answers and not MARKER.search(text):
            # Agents remind the model of something after tool results; only a marker begins another script.
            texts.append(text)
        elif message["role"] == "user":
            texts, results = [text], []
        elif message["role"] == "tool":
            results.append(text)
        answers = message["role"] == "tool" or (answers and message["role"] == "user")
        images += [image_described(part["image_url"]["url"]) for part in content if part.get("type") == "image_url"]
    stop, form = body.get("stop"), body.get("response_format") or {}
    scenario, argument = marker_of(texts)
    return Conversation(
        scenario,
        argument,
        _chat_tools(body),
        tuple(results),
        tuple(images),
        (),
        (stop,) if isinstance(stop, str) else tuple(stop or ()),
        body.get("max_completion_tokens") or body.get("max_tokens"),
        body.get("parallel_tool_calls") is not False,
        continues=messages[-1]["role"] == "assistant",
        choices=max(1, min(int(body.get("n") or 1), MAX_CHOICES)),
        logprobs=bool(body.get("logprobs")),
        schema=(form.get("json_schema") or {}).get("schema"),
        json_mode=form.get("type") == "json_object",
        prompt=texts[0],
    )


def read_messages(body: dict[str, Any]) -> Conversation:
    """Read a messages request."""
    messages = body["messages"]
    texts: list[str] = [""]
    results: list[str] = []
    images: list[str] = []
    documents: list[str] = []
    for message in messages:
        content = _parts(message["content"])
        answers = [part for part in content if part.get("type") == "tool_result"]
        text = "".join(part.get("text") or "" for part in content)
        if message["role"] == "user" and not answers:
            texts, results = [text], []
        elif answers:
            # Agents add reminders to tool results; only one with a marker changes the script.
            texts.append(text)
        results += ["".join(p.get("text") or "" for p in _parts(part.get("content"))) for part in answers]
        for part in content + [inner for answer in answers for inner in _parts(answer.get("content"))]:
            if part.get("type") == "image":
                images.append(_pictured(part["source"]))
            if part.get("type") == "document" and part["source"].get("type") == "text":
                documents.append(part["source"]["data"])
    last = _parts(messages[-1]["content"])[-1:] if messages[-1]["role"] == "assistant" else []
    choice = body.get("tool_choice") or {}
    scenario, argument = marker_of(texts)
    return Conversation(
        scenario,
        argument,
        _message_tools(body),
        tuple(results),
        tuple(images),
        tuple(documents),
        tuple(body.get("stop_sequences") or ()),
        body.get("max_tokens"),
        not choice.get("disable_parallel_tool_use"),
        thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        continues=messages[-1]["role"] == "assistant",
        paused=next((part["id"] for part in last if part.get("type") == "server_tool_use"), None),
        schema=((body.get("output_config") or {}).get("format") or body.get("output_format") or {}).get("schema"),
        prompt=texts[0],
    )


def marker_of(texts: list[str]) -> tuple[str | None, str]:
    """Return the name and the argument of the last marker in ``texts``, ``None`` for none."""
    found = [match for text in texts for match in MARKER.finditer(text)]
    return (found[-1][1], found[-1][2] or "") if found else (None, "")


def _parts(content: Any) -> list[dict[str, Any]]:
    """Return a message's content as parts."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def _chat_tools(body: dict[str, Any]) -> tuple[OfferedTool, ...]:
    choice = body.get("tool_choice")
    if choice == "none":
        return ()
    tools = []
    for tool in body.get("tools") or ():
        offered = tool[tool["type"]]
        tools.append(OfferedTool(offered["name"], offered.get("parameters") or {}, tool["type"] == "custom"))
    wanted = (
        {choice[choice["type"]]["name"]} if isinstance(choice, dict) and choice["type"] != "allowed_tools" else None
    )
    return tuple(tool for tool in tools if wanted is None or tool.name in wanted)


def _message_tools(body: dict[str, Any]) -> tuple[OfferedTool, ...]:
    """Return the tools with a schema; the vendor's own tools have none."""
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "none":
        return ()
    tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
    return tuple(
        OfferedTool(tool["name"], tool["input_schema"])
        for tool in tools
        if choice.get("type") != "tool" or tool["name"] == choice["name"]
    )


def image_described(url: str) -> str:
    """Return what can be said of an image by its address."""
    inline = BASE64_URL.match(url)
    return f"{inline[1]} of {encoded_bytes(inline[2])} bytes" if inline else f"an image at {url[:200]}"


def _pictured(source: dict[str, Any]) -> str:
    if source["type"] == "base64":
        return f"{source['media_type']} of {encoded_bytes(source['data'])} bytes"
    return f"an image at {source.get('url', source.get('file_id', ''))[:200]}"


def encoded_bytes(encoded: str) -> int:
    """Return the number of bytes that padded base64 holds."""
    return len(encoded) * 3 // 4 - encoded.count("=")
