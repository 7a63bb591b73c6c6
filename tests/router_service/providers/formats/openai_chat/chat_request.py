"""Reads chat bodies as generation requests, as far as the fixtures go: the client API's parser is another package's."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.generation import (
    GenerationRequest,
    Message,
    OutputFormat,
    ReasoningOptions,
    Sampling,
    Tool,
    ToolChoice,
)
from router_service.core.parts import CacheMark, Media, Reasoning, Refusal, Text, ToolCall, ToolResult

_SAMPLING = set(Sampling.__struct_fields__)
_PLAIN = {"user", "metadata", "modalities", "verbosity", "service_tier"}
_ROUTER = {"model", "stream", "stream_options", "provider", "usage", "session_id", "trace", "route"}
_ROUTER |= {"include_reasoning"}


def parse_chat(body: dict[str, Any], *, stream: bool = False) -> GenerationRequest:
    """Returns the request that ``body`` says."""
    rest = {name: value for name, value in body.items() if name not in _ROUTER and value is not None}
    messages = [_message(message) for message in rest.pop("messages")]
    sampling = {name: rest.pop(name) for name in _SAMPLING & rest.keys()}
    if isinstance(sampling.get("stop"), str):
        sampling["stop"] = [sampling["stop"]]
    limits = [rest.pop(name) for name in ("max_completion_tokens", "max_tokens") if name in rest]
    effort = {"effort": rest.pop("reasoning_effort")} if "reasoning_effort" in rest else None
    reasoning = rest.pop("reasoning", effort)
    parallel = rest.pop("parallel_tool_calls", None)
    return GenerationRequest(
        messages=messages,
        tools=[_tool(tool) for tool in rest.pop("tools", ())],
        tool_choice=_choice(rest.pop("tool_choice", None), parallel),
        output=_output(rest.pop("response_format", {"type": "text"})),
        sampling=Sampling(**sampling),
        reasoning=None if reasoning is None else msgspec.convert(reasoning, ReasoningOptions),
        max_tokens=limits[0] if limits else None,
        stream=stream,
        **{name: rest.pop(name) for name in _PLAIN & rest.keys()},
        extras={"openai_chat": rest},
    )


def _message(message: dict[str, Any]) -> Message:
    content = message.get("content")
    if message["role"] == "tool":
        return Message(role="tool", parts=[ToolResult(call_id=message["tool_call_id"], content=_parts(content))])
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    parts = [Reasoning(text=reasoning)] if reasoning else []
    parts += _parts(content)
    if message.get("refusal"):
        parts.append(Refusal(text=message["refusal"]))
    parts += [_call(call) for call in message.get("tool_calls") or ()]
    return Message(role=message["role"], parts=parts, name=message.get("name"))


def _call(call: dict[str, Any]) -> ToolCall:
    kind = call["type"]
    said = call[kind]
    text = said["arguments" if kind == "function" else "input"]
    return ToolCall(call_id=call["id"], name=said["name"], arguments=text, kind=kind)


def _parts(content: Any) -> list[Any]:
    return [Text(text=content)] if isinstance(content, str) else [_part(part) for part in content or ()]


def _part(part: dict[str, Any]) -> Any:
    match part:
        case {"type": "text"}:
            return Text(text=part["text"], cache=CacheMark() if "cache_control" in part else None)
        case {"type": "image_url", "image_url": {"url": url} as image}:
            return Media(kind="image", **_address(url), detail=image.get("detail"))
        case {"type": "input_audio", "input_audio": {"data": data, "format": style}}:
            return Media(kind="audio", data=data, media_type=f"audio/{style}")
        case {"type": "file", "file": {"file_data": url} as file}:
            return Media(kind="document", **_address(url), name=file.get("filename"))
    raise AssertionError(part)


def _address(url: str) -> dict[str, str]:
    if not url.startswith("data:"):
        return {"url": url}
    head, data = url[5:].split(";base64,")
    return {"media_type": head, "data": data}


def _tool(tool: dict[str, Any]) -> Tool:
    if tool["type"] != "function":
        raw = msgspec.Raw(msgspec.json.encode(tool))
        return Tool(name=tool["custom"]["name"], kind="custom", dialect="openai_chat", raw=raw)
    function = tool["function"]
    return Tool(
        name=function["name"],
        description=function.get("description"),
        schema=msgspec.Raw(msgspec.json.encode(function["parameters"])) if "parameters" in function else None,
        strict=function.get("strict"),
        cache=CacheMark() if "cache_control" in tool else None,
    )


def _choice(choice: Any, parallel: bool | None) -> ToolChoice | None:
    if isinstance(choice, dict):
        return ToolChoice(mode="tool", name=choice[choice["type"]]["name"], parallel=parallel)
    return None if choice is parallel is None else ToolChoice(mode=choice or "auto", parallel=parallel)


def _output(form: dict[str, Any]) -> OutputFormat:
    schema = form.get("json_schema", {})
    return OutputFormat(
        kind=form["type"],
        name=schema.get("name"),
        schema=msgspec.Raw(msgspec.json.encode(schema["schema"])) if "schema" in schema else None,
        strict=schema.get("strict"),
    )
