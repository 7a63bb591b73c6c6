"""Decode streams of server-sent events, each of which is a response with a piece of the answer.

Source: Gemini API reference: streamGenerateContent.
"""

from __future__ import annotations

from router_service.core.answer import EventBatch, commits
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.providers.formats.gemini.answer_reader import ContentReader
from router_service.providers.formats.gemini.errors import error_reported, no_content
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext

# Data that some servers send within or after a stream, and that say nothing.
_NOTHING = (b"", b"null", b"[DONE]")


class ContentDecoder:
    """Implement ``EventDecoder``."""

    __slots__ = ("_reader",)

    def __init__(self, context: DecodeContext) -> None:
        self._reader = ContentReader(context)

    def feed(self, event: str | None, data: bytes) -> EventBatch | None:  # noqa: ARG002 - events have no type
        """Return what a chunk says, ``None`` for nothing. Raises ``ApiError`` 502 for data that are not JSON."""
        if self._reader.state == "closed" or data.strip() in _NOTHING:
            return None
        body = json_value(data)
        if body is None:
            self._reader.state = "closed"
            raise no_content("stream")
        found = self._events(body)
        return EventBatch(found, commits(found)) if found else None

    def end(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed. Without a finish reason it has failed."""
        return self._reader.close()

    def _events(self, body: object) -> list[Event]:
        if isinstance(body, dict):
            return self._reader.read(body)
        # The body of an error is a list in a stream.
        error: ApiError | None = error_reported(body)
        return self._reader.fail(error) if error is not None else []
