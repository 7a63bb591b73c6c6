"""Build requests for tests of wire formats: turns, calls, results and functions of a harbour."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from router_service.core.generation import GenerationRequest, Message, Tool
from router_service.core.parts import AnyPart, Text, ToolCall, ToolResult


def raw(value: Any) -> msgspec.Raw:
    """Return ``value`` as JSON."""
    return msgspec.Raw(json.dumps(value).encode())


def turn(role: Any, *parts: AnyPart | str, name: str | None = None) -> Message:
    """Return a turn; strings are texts."""
    found = [Text(text=part) if isinstance(part, str) else part for part in parts]
    return Message(role=role, parts=found, name=name)


def user(*parts: AnyPart | str, name: str | None = None) -> Message:
    """Return a turn of the user."""
    return turn("user", *parts, name=name)


def assistant(*parts: AnyPart | str) -> Message:
    """Return a turn of the assistant."""
    return turn("assistant", *parts)


def call(call_id: str = "call_1", name: str = "hoist", arguments: str = "{}", **fields: Any) -> ToolCall:
    """Return a call of a function."""
    return ToolCall(call_id=call_id, name=name, arguments=arguments, **fields)


def results(*call_ids: str, **fields: Any) -> Message:
    """Return a tool turn with a result for each call, which says its id."""
    return Message(role="tool", parts=[ToolResult(call_id=one, content=[Text(text=one)], **fields) for one in call_ids])


def function(name: str = "hoist", schema: Any = None, **fields: Any) -> Tool:
    """Return a function."""
    return Tool(name=name, schema=raw(schema or {"type": "object", "properties": {}}), **fields)


def ask(*messages: Message, **fields: Any) -> GenerationRequest:
    """Return a request with ``messages``, a greeting by default."""
    return GenerationRequest(messages=list(messages) or [user("Hello!")], **fields)
