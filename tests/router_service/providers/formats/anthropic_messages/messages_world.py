"""Builds what the tests of the messages format share: endpoints, encoded bodies, decoded streams, chat requests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.events import Event, Result, fold
from router_service.core.generation import (
    GenerationRequest,
    Message,
    OutputFormat,
    ReasoningOptions,
    Sampling,
    Tool,
    ToolChoice,
)
from router_service.core.parts import AnyPart, CacheMark, Media, Reasoning, Text, ToolCall, ToolResult
from router_service.providers.formats.anthropic_messages.format import AnthropicMessagesFormat
from router_service.providers.wire_format import DecodeContext, Encoded
from tests.router_service.providers.formats.decoded_streams import decode_stream

FORMAT = AnthropicMessagesFormat()
ORIGIN = "anthropic_messages/anthropic"
CONTEXT = DecodeContext(generation_id="gen-1", origin=ORIGIN)
THINK = ReasoningOptions(effort="high")
SIGNED = Reasoning(text="Greets.", signature="c2ln", origin=ORIGIN)
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def endpoint(model: str = "claude-sonnet-4-5", provider: str = "anthropic", limit: int | None = 32000) -> Endpoint:
    """Return an endpoint for ``model``."""
    return Endpoint(
        id=f"{provider}:{model}",
        tag=provider,
        provider=provider,
        provider_name=provider.title(),
        model=f"anthropic/{model}",
        upstream_model=model,
        wire_format="anthropic_messages",
        base_url="https://provider.test/v1",
        key_env=("KEY",),
        price=None,
        context_length=200_000,
        max_completion_tokens=limit,
    )


def raw(value: Any) -> msgspec.Raw:
    """Return ``value`` as JSON."""
    return msgspec.Raw(json.dumps(value).encode())


def user(*parts: AnyPart | str) -> Message:
    """Return a user turn; strings are texts."""
    return Message(role="user", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def assistant(*parts: AnyPart | str) -> Message:
    """Return an assistant turn; strings are texts."""
    return Message(role="assistant", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def result(call_id: str, text: str = "18 C", **fields: Any) -> Message:
    """Return a tool turn with one result."""
    content: list[Any] = [Text(text=text)] if text else []
    return Message(role="tool", parts=[ToolResult(call_id=call_id, content=content, **fields)])


def call(call_id: str = "call_1", arguments: str = '{"place":"Genoa"}', name: str = "get_weather") -> ToolCall:
    """Return a call of a function."""
    return ToolCall(call_id=call_id, name=name, arguments=arguments)


def function(name: str = "get_weather", **fields: Any) -> Tool:
    """Return a function with one argument."""
    schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    return Tool(name=name, schema=raw(schema), **fields)


def ask(*messages: Message, **fields: Any) -> GenerationRequest:
    """Return a request with ``messages``, a greeting by default."""
    return GenerationRequest(messages=list(messages) or [user("Hello!")], **fields)


def encode(request: GenerationRequest, at: Endpoint | None = None) -> Encoded:
    """Return the encoded request."""
    return FORMAT.encode(request, at or endpoint(), "gen-1")


def body_of(request: GenerationRequest, at: Endpoint | None = None) -> dict[str, Any]:
    """Return the JSON body that is sent."""
    found: dict[str, Any] = json.loads(encode(request, at).request.body)
    return found


def turns_of(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    """Return the turns that are sent for ``messages``; calls find their function among the tools."""
    return list(body_of(ask(*messages, tools=[function()], **fields))["messages"])


def blocks_of(message: Message) -> list[dict[str, Any]]:
    """Return the blocks of one message of a conversation that goes on after it."""
    return list(turns_of(user("Hello!"), message, user("Go on."))[1]["content"])


def text(value: str) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": value}


def events_of(pieces: Iterable[bytes], context: DecodeContext = CONTEXT) -> list[Event]:
    """Decode a stream that arrives in ``pieces``."""
    return decode_stream(FORMAT, pieces, context)


def read_stream(*events: dict[str, Any] | bytes, context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a stream of ``events``."""
    data = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return fold(events_of([b"data: " + line + b"\n\n" for line in data], context))


def read_message(context: DecodeContext = CONTEXT, **fields: Any) -> Result:
    """Return the result of a non-streaming message with ``fields``."""
    message = {"type": "message", "id": "msg_1", "stop_reason": "end_turn", "content": []} | fields
    return fold(FORMAT.decode(json.dumps(message).encode(), context))


def from_chat(chat: dict[str, Any]) -> GenerationRequest:
    """Return the request that a client of the chat dialect means, as far as the fixtures go."""
    messages = [_chat_message(message) for message in chat["messages"]]
    leading = next((i for i, m in enumerate(messages) if m.role not in ("system", "developer")), len(messages))
    reasoning = chat.get("reasoning") or ({"effort": chat["reasoning_effort"]} if "reasoning_effort" in chat else None)
    sampled = {name: chat[name] for name in Sampling.__struct_fields__ if name in chat and name != "stop"}
    stop = chat.get("stop") or []
    parallel = chat.get("parallel_tool_calls")
    known = set(sampled) | {"model", "messages", "stop", "tools", "tool_choice", "parallel_tool_calls", "reasoning"}
    known |= {"reasoning_effort", "max_tokens", "user", "service_tier", "cache_control", "response_format", "verbosity"}
    known |= {"include_reasoning"}
    return GenerationRequest(
        instructions=messages[:leading],
        messages=messages[leading:],
        tools=[_chat_tool(tool) for tool in chat.get("tools", ())],
        tool_choice=_chat_choice(chat.get("tool_choice"), parallel),
        output=_chat_format(chat.get("response_format")),
        sampling=Sampling(**sampled, stop=[stop] if isinstance(stop, str) else stop),
        reasoning=ReasoningOptions(**reasoning) if reasoning else None,
        max_tokens=chat.get("max_tokens"),
        cache=_chat_mark(chat),
        user=chat.get("user"),
        service_tier=chat.get("service_tier"),
        verbosity=chat.get("verbosity"),
        extras={"openai_chat": {name: value for name, value in chat.items() if name not in known}},
    )


def _chat_mark(holder: dict[str, Any]) -> CacheMark | None:
    return CacheMark(ttl=holder["cache_control"].get("ttl")) if "cache_control" in holder else None


def _chat_format(found: dict[str, Any] | None) -> OutputFormat:
    if found is None:
        return OutputFormat()
    inner = found.get("json_schema", {})
    schema = raw(inner["schema"]) if "schema" in inner else None
    return OutputFormat(kind=found["type"], name=inner.get("name"), schema=schema, strict=inner.get("strict"))


def _chat_choice(choice: Any, parallel: bool | None) -> ToolChoice | None:
    if isinstance(choice, dict):
        return ToolChoice(mode="tool", name=choice["function"]["name"], parallel=parallel)
    return ToolChoice(mode=choice or "auto", parallel=parallel) if choice or parallel is not None else None


def _chat_tool(tool: dict[str, Any]) -> Tool:
    own = tool["function"]
    schema = raw(own["parameters"]) if "parameters" in own else None
    return Tool(
        name=own["name"],
        description=own.get("description"),
        schema=schema,
        strict=own.get("strict"),
        cache=_chat_mark(tool),
    )


def _chat_message(message: dict[str, Any]) -> Message:
    parts: list[AnyPart] = [
        Reasoning(
            text=detail["text"], signature=detail["signature"], encrypted=detail.get("data"), format=detail["format"]
        )
        for detail in _merged(message.get("reasoning_details") or ())
    ]
    content = message.get("content")
    found = [Text(text=content)] if isinstance(content, str) else [_chat_part(part) for part in content or ()]
    if message["role"] == "tool":
        parts.append(ToolResult(call_id=message["tool_call_id"], content=found))  # type: ignore[arg-type]
    else:
        parts += found
    parts += [
        call(one["id"], one["function"]["arguments"], one["function"]["name"]) for one in message.get("tool_calls", ())
    ]
    return Message(role=message["role"], parts=parts)


def _merged(details: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for detail in details:
        known = found.setdefault(detail["index"], detail | {"text": "", "signature": None})
        known["text"] += detail.get("text") or ""
        known["signature"] = detail.get("signature") or known["signature"]
    return list(found.values())


def _chat_part(part: dict[str, Any]) -> Text | Media:
    mark = _chat_mark(part)
    match part["type"]:
        case "text":
            return Text(text=part["text"], cache=mark)
        case "image_url":
            return _located("image", part["image_url"]["url"])
        case "input_audio":
            return Media(kind="audio", data=part["input_audio"]["data"], media_type="audio/wav")
    return _located("document", part["file"]["file_data"], part["file"]["filename"])


def _located(kind: Any, address: str, name: str | None = None) -> Media:
    if not address.startswith("data:"):
        return Media(kind=kind, url=address, name=name)
    media_type, _, data = address.removeprefix("data:").partition(";base64,")
    return Media(kind=kind, media_type=media_type, data=data, name=name)
