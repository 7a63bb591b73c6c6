"""Decode streams of server-sent events.

Source: OpenAI API reference: Responses, streaming events; the Open Responses specification. An event whose type is
unknown says nothing: the item that it belongs to is complete at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router_service.core.answer import EventBatch, commits
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.providers.formats.openai_responses.answer_reader import CALLS, ResponseReader
from router_service.providers.formats.openai_responses.errors import error_told, no_response
from router_service.providers.formats.openai_responses.item_readers import MessageReader, logprobs_of, string_of
from router_service.providers.formats.openai_responses.progress import PROGRESS
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext

# Data that some servers send within or after a stream, and that say nothing.
_NOTHING = (b"", b"null", b"[DONE]")
_Body = dict[str, Any]
# The type of item, the kind of part and the field with its number, by the first part of the type of a delta.
_PARTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "response.output_text": (("message",), "output_text", "content_index"),
    "response.refusal": (("message",), "refusal", "content_index"),
    "response.reasoning_summary_text": (("reasoning",), "summary_text", "summary_index"),
    "response.reasoning_text": (("reasoning",), "reasoning_text", "content_index"),
    "response.function_call_arguments": (("function_call",), "arguments", ""),
    "response.custom_tool_call_input": (("custom_tool_call",), "input", ""),
}
_WHOLE_PARTS = {"output_text": ("message",), "refusal": ("message",), "reasoning_text": ("reasoning",)}


class ResponsesDecoder:
    """Implement ``EventDecoder``."""

    __slots__ = ("_handlers", "_reader")

    def __init__(self, context: DecodeContext) -> None:
        self._reader = ResponseReader(context)
        self._handlers: dict[str, Callable[[_Body], list[Event]]] = {
            "response.created": self._head,
            "response.queued": self._head,
            "response.in_progress": self._head,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part_added,
            "response.content_part.done": self._part_done,
            "response.reasoning_summary_part.done": self._summary_done,
            "response.output_text.annotation.added": self._annotation,
            "response.completed": self._completed,
            "response.incomplete": self._incomplete,
            "response.failed": self._failed,
        }

    def feed(self, event: str | None, data: bytes) -> EventBatch | None:
        """Return what an event says, ``None`` for nothing. Raises ``ApiError`` 502 for data that are not JSON, or
        a call beyond all bounds.
        """
        if self._reader.state == "closed" or data.strip() in _NOTHING:
            return None
        body = json_value(data)
        if body is None:
            self._reader.state = "closed"
            raise no_response("stream")
        try:
            found = self._events(event, body) if isinstance(body, dict) else []
        except ApiError:
            self._reader.state = "closed"
            raise
        return EventBatch(found, commits(found)) if found else None

    def end(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed. Without the event of its end it has failed."""
        return self._reader.close()

    def _events(self, event: str | None, body: _Body) -> list[Event]:
        kind = string_of(body.get("type")) or event or ""
        stem, _, step = kind.rpartition(".")
        if step == "delta" and stem in _PARTS:
            return self._delta(stem, body)
        if kind in PROGRESS:
            return self._reader.progress(PROGRESS[kind], kind, body, _number(body, "output_index"))
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(body)
        if step == "done" and stem in _PARTS:
            return self._text_done(stem, body)
        error = error_told(body if body.get("type") or event != "error" else body | {"type": event})
        return self._reader.fail(error) if error is not None else []

    def _delta(self, stem: str, body: _Body) -> list[Event]:
        types, kind, numbered = _PARTS[stem]
        text = string_of(body.get("delta"))
        one, found = self._reader.opened(types, body.get("item_id"), _number(body, "output_index"))
        if one is None or not text:
            return found
        logprobs = logprobs_of(body.get("logprobs"), kind) if body.get("logprobs") else None
        return found + one.reader.add(kind, _number(body, numbered) or 0, text, logprobs)

    def _text_done(self, stem: str, body: _Body) -> list[Event]:
        types, kind, numbered = _PARTS[stem]
        one, found = self._reader.opened(types, body.get("item_id"), _number(body, "output_index"))
        return found if one is None else found + one.reader.complete(kind, _number(body, numbered) or 0, body)

    def _head(self, body: _Body) -> list[Event]:
        return self._reader.begin(_response(body))

    def _item_added(self, body: _Body) -> list[Event]:
        return self._reader.add_item(body.get("item"), _number(body, "output_index"))

    def _item_done(self, body: _Body) -> list[Event]:
        return self._reader.end_item(body.get("item"), _number(body, "output_index"))

    def _part_added(self, body: _Body) -> list[Event]:
        """Begin the item of a part; the part itself begins with its content."""
        types = _WHOLE_PARTS.get(_part_type(body), CALLS)
        if types is CALLS:
            return []
        return self._reader.opened(types, body.get("item_id"), _number(body, "output_index"))[1]

    def _part_done(self, body: _Body) -> list[Event]:
        kind = _part_type(body)
        types = _WHOLE_PARTS.get(kind)
        return [] if types is None else self._whole_part(types, kind, body, "content_index")

    def _summary_done(self, body: _Body) -> list[Event]:
        return self._whole_part(("reasoning",), "summary_text", body, "summary_index")

    def _whole_part(self, types: tuple[str, ...], kind: str, body: _Body, numbered: str) -> list[Event]:
        one, found = self._reader.opened(types, body.get("item_id"), _number(body, "output_index"))
        part = body.get("part")
        if one is None or not isinstance(part, dict):
            return found
        return found + one.reader.complete(kind, _number(body, numbered) or 0, part)

    def _annotation(self, body: _Body) -> list[Event]:
        one, found = self._reader.opened(("message",), body.get("item_id"), _number(body, "output_index"))
        if one is None or not isinstance(one.reader, MessageReader):
            return found
        index = _number(body, "content_index") or 0
        return found + one.reader.cite(index, body.get("annotation"), _number(body, "annotation_index"))

    def _completed(self, body: _Body) -> list[Event]:
        return self._reader.finish(_response(body), "completed")

    def _incomplete(self, body: _Body) -> list[Event]:
        return self._reader.finish(_response(body) | {"status": "incomplete"}, "incomplete")

    def _failed(self, body: _Body) -> list[Event]:
        return self._reader.finish(_response(body) | {"status": "failed"}, "failed")


def _response(body: _Body) -> _Body:
    found = body.get("response")
    return found if isinstance(found, dict) else {}


def _part_type(body: _Body) -> str:
    part = body.get("part")
    return string_of(part.get("type")) if isinstance(part, dict) else ""


def _number(body: _Body, name: str) -> int | None:
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
