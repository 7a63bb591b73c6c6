"""Build what the tests of the Responses format share: endpoints, encoded bodies, decoded streams."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.events import Event, Result, fold
from router_service.core.generation import GenerationRequest, Message, Tool
from router_service.core.parts import AnyPart, Text, ToolCall, ToolResult
from router_service.providers.formats.openai_responses.format import OpenAIResponsesFormat
from router_service.providers.wire_format import DecodeContext, Encoded
from tests.router_service.providers.formats.decoded_streams import decode_stream
from tests.router_service.providers.formats.parameter_cases import endpoint_for

FORMAT = OpenAIResponsesFormat()
ORIGIN = "openai_responses/openai"
CONTEXT = DecodeContext(generation_id="gen-1", origin=ORIGIN)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def endpoint(model: str = "gpt-5.2-codex", provider: str = "openai") -> Endpoint:
    """Return an endpoint for ``model``."""
    return endpoint_for("openai_responses", provider, model)


def raw(value: Any) -> msgspec.Raw:
    """Return ``value`` as JSON."""
    return msgspec.Raw(json.dumps(value).encode())


def turn(role: Any, *parts: AnyPart | str, name: str | None = None) -> Message:
    """Return a turn; strings are texts."""
    found = [Text(text=part) if isinstance(part, str) else part for part in parts]
    return Message(role=role, parts=found, name=name)


def user(*parts: AnyPart | str) -> Message:
    """Return a turn of the user."""
    return turn("user", *parts)


def assistant(*parts: AnyPart | str) -> Message:
    """Return a turn of the assistant."""
    return turn("assistant", *parts)


def call(call_id: str = "call_1", name: str = "hoist", arguments: str = "{}", **fields: Any) -> ToolCall:
    """Return a call of a function."""
    return ToolCall(call_id=call_id, name=name, arguments=arguments, **fields)


def result(call_id: str = "call_1", *content: Any) -> Message:
    """Return a tool turn with one result."""
    return Message(role="tool", parts=[ToolResult(call_id=call_id, content=list(content) or [Text(text="ok")])])


def function(name: str = "hoist", **fields: Any) -> Tool:
    """Return a function."""
    return Tool(name=name, schema=raw({"type": "object", "properties": {}}), **fields)


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


def input_of(*messages: Message, at: Endpoint | None = None) -> list[dict[str, Any]]:
    """Return the items that are sent for ``messages``."""
    return list(body_of(ask(*messages), at)["input"])


def said(role: str, *texts: str) -> dict[str, Any]:
    """Return a message item with texts."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text} for text in texts]}


def events_of(pieces: Iterable[bytes], context: DecodeContext = CONTEXT) -> list[Event]:
    """Decode a stream that arrives in ``pieces``."""
    return decode_stream(FORMAT, pieces, context)


def read_events(*events: dict[str, Any] | bytes, context: DecodeContext = CONTEXT) -> Result:
    """Return the result of a stream of ``events``."""
    data = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return fold(events_of([b"data: " + line + b"\n\n" for line in data], context))


def read_response(context: DecodeContext = CONTEXT, **fields: Any) -> Result:
    """Return the result of a non-streaming response with ``fields``."""
    response = {"object": "response", "id": "resp_1", "status": "completed", "output": []} | fields
    return fold(FORMAT.decode(json.dumps(response).encode(), context))
