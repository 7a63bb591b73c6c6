"""Decode streams of server-sent events.

Source: Claude docs: Streaming Messages. An event whose type is unknown says nothing: new ones may be added.
"""

from __future__ import annotations

from typing import Any

from router_service.core.answer import STREAM_EXCEPTION, EventBatch, commits
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.providers.amazon_errors import stream_exception
from router_service.providers.formats.anthropic_messages.answer_reader import AnswerReader
from router_service.providers.formats.anthropic_messages.chunks import CHUNK, unwrapped
from router_service.providers.formats.anthropic_messages.errors import error_within, not_an_answer
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext

# Data that some servers send within or after a stream, and that say nothing.
_EMPTY = (b"", b"null", b"[DONE]")


class MessageDecoder:
    """Implement ``EventDecoder``."""

    __slots__ = ("_reader",)

    def __init__(self, context: DecodeContext) -> None:
        self._reader = AnswerReader(context)

    def feed(self, event: str | None, data: bytes) -> EventBatch | None:
        """Return what an event says, ``None`` for nothing; its data repeat its type, unless the platform wraps it.

        Raises ``ApiError`` 502 for data that are not JSON, or a block beyond all bounds.
        """
        if self._reader.state == "closed" or data.strip() in _EMPTY:
            return None
        if event is not None and event.startswith(STREAM_EXCEPTION):
            return EventBatch(self._reader.fail(stream_exception(event.removeprefix(STREAM_EXCEPTION), data)))
        try:
            body = json_value(unwrapped(data) if event == CHUNK else data)
            if body is None:
                raise not_an_answer("stream")
            found = self._events(body) if isinstance(body, dict) else []
        except ApiError:
            self._reader.state = "closed"
            raise
        return EventBatch(found, commits(found)) if found else None

    def end(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed.

        With a stop reason it is complete even without ``message_stop``; without one it has failed.
        """
        return self._reader.close()

    def _events(self, body: dict[str, Any]) -> list[Event]:
        reader = self._reader
        match body.get("type"):
            case "message_start":
                return reader.begin(_object(body, "message"))
            case "content_block_start":
                return reader.start_block(_key(body), body.get("content_block"))
            case "content_block_delta":
                return reader.delta(_key(body), body.get("delta"))
            case "content_block_stop":
                return reader.end_block(_key(body))
            case "message_delta":
                delta = _object(body, "delta")
                found = reader.finish(delta.get("stop_reason"), delta.get("stop_sequence"), delta.get("stop_details"))
                return found + reader.meter(body.get("usage"))
            case "message_stop":
                return reader.meter(body.get("usage")) + reader.close()
            case _:
                error = error_within(body)
                return reader.fail(error) if error is not None else []


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _key(body: dict[str, Any]) -> int | None:
    index = body.get("index")
    return index if isinstance(index, int) else None
