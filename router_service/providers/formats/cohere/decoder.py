"""Decode answers of Cohere's ``/chat``: non-streaming responses, and streams of server-sent events."""

from __future__ import annotations

from typing import Any

from router_service.core.answer import EventBatch, commits
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.providers.formats.cohere.reader import AnswerReader
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext

_EMPTY = (b"", b"null", b"[DONE]")


def decode_chat(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a non-streaming response. Raises ``ApiError`` 502 if ``body`` is no answer."""
    found = json_value(body)
    message = found.get("message") if isinstance(found, dict) else None
    if not isinstance(message, dict):
        # An error within a 200 has its sentence where an answer has its message.
        sentence = f": {message[:500]}" if isinstance(message, str) else ""
        raise ApiError("provider_unavailable", f"The provider's response is no answer{sentence}")
    reader = AnswerReader(context)
    events = reader.begin(found.get("id"))
    citations = message.get("citations")
    cited = [one for one in citations if isinstance(one, dict)] if isinstance(citations, list) else []
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    placed = list(enumerate(blocks if isinstance(blocks, list) else ()))
    kinds = [block.get("type") if isinstance(block, dict) else None for _, block in placed]
    for (_, block), kind in zip(placed, kinds, strict=True):
        events += reader.write("thinking", block.get("thinking")) if kind == "thinking" else []
    # A plan stands beside the content; a stream has it after the thinking.
    plan = message.get("tool_plan")
    events += reader.write("plan", plan) if plan else []
    for (place, block), kind in zip(placed, kinds, strict=True):
        if kind == "text":
            events += reader.write("text", block.get("text"))
            for one in cited:
                if one.get("content_index") in (None, place):
                    events += reader.cite(one)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        events += reader.call(call)
    events += reader.finish(found.get("finish_reason"), found.get("usage"))
    return events + reader.close()


class ChatStreamDecoder:
    """Implement ``EventDecoder``."""

    def __init__(self, context: DecodeContext) -> None:
        self._reader = AnswerReader(context)

    def feed(self, event: str | None, data: bytes) -> EventBatch | None:  # noqa: ARG002 - the data repeat the type
        if self._reader.closed or data.strip() in _EMPTY:
            return None
        body = json_value(data)
        if body is None:
            self._reader.closed = True
            raise ApiError("provider_unavailable", "The provider's stream has an event that is not valid JSON")
        events = self._events(body) if isinstance(body, dict) else []
        return EventBatch(events, commits(events)) if events else None

    def end(self) -> list[Event]:
        return self._reader.close()

    def _events(self, body: dict[str, Any]) -> list[Event]:
        reader, delta = self._reader, _object(body.get("delta"))
        message = _object(delta.get("message"))
        content = _object(message.get("content"))
        match body.get("type"):
            case "message-start":
                return reader.begin(body.get("id"))
            case "content-start" | "content-delta":
                if "thinking" in content:
                    return reader.write("thinking", content.get("thinking"))
                return reader.write("text", content.get("text"))
            case "tool-plan-delta":
                return reader.write("plan", message.get("tool_plan"))
            case "tool-call-start":
                return reader.call(_call(message))
            case "tool-call-delta":
                return reader.arguments(_object(_call(message).get("function")).get("arguments"))
            case "citation-start":
                return reader.cite(message.get("citations"))
            case "message-end":
                error = delta.get("error")
                if isinstance(error, str) and error:
                    return reader.fail(ApiError("provider_unavailable", f"Provider returned error: {error[:500]}"))
                return reader.finish(delta.get("finish_reason"), delta.get("usage")) + reader.close()
            case None if isinstance(body.get("message"), str):
                sentence = str(body["message"])[:500]
                return reader.fail(ApiError("provider_unavailable", f"Provider returned error: {sentence}"))
            case _:
                return []


def _call(message: dict[str, Any]) -> dict[str, Any]:
    """Return the call of an event; some servers send it as a list of one."""
    calls = message.get("tool_calls")
    return _object(calls[0]) if isinstance(calls, list) and calls else _object(calls)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
