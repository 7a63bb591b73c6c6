"""Decode the messages of an event stream, each of which is named by a header and has a JSON body.

Source: Amazon Bedrock API reference: ConverseStream. A message whose name is unknown says nothing: new ones may be
added.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.answer import STREAM_EXCEPTION, EventBatch, commits
from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.providers.amazon_errors import stream_exception
from router_service.providers.formats.bedrock_converse.answer_reader import ConverseReader
from router_service.providers.formats.bedrock_converse.errors import no_converse
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ConverseDecoder:
    """Implement ``EventDecoder``."""

    __slots__ = ("_reader",)

    def __init__(self, context: DecodeContext) -> None:
        self._reader = ConverseReader(context)

    def feed(self, event: str | None, data: bytes) -> EventBatch | None:
        """Return what a message says, ``None`` for nothing.

        Raises ``ApiError`` 502 for data that are not JSON, or a block beyond all bounds.
        """
        reader = self._reader
        if reader.state == "closed" or event is None:
            return None
        if event.startswith(STREAM_EXCEPTION):
            found = reader.fail(stream_exception(event.removeprefix(STREAM_EXCEPTION), data))
            return EventBatch(found)
        try:
            found = self._events(event, _body(data))
        except ApiError:
            reader.state = "closed"
            raise
        return EventBatch(found, commits(found)) if found else None

    def end(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed.

        With a stop reason it is complete even without ``metadata``; without one it has failed.
        """
        return self._reader.close()

    def _events(self, event: str, body: dict[str, Any]) -> list[Event]:
        reader = self._reader
        match event:
            case "contentBlockDelta":
                return reader.delta(body.get("contentBlockIndex"), body.get("delta"))
            case "contentBlockStart":
                return reader.start_block(body.get("contentBlockIndex"), body.get("start"))
            case "contentBlockStop":
                return reader.end_block(body.get("contentBlockIndex"))
            case "messageStart":
                return reader.begin()
            case "messageStop":
                return reader.finish(body.get("stopReason"), body.get("additionalModelResponseFields"))
            case "metadata":
                found = reader.meter(body)
                return found + reader.close() if reader.state == "finished" else found
        return []


def _body(data: bytes) -> dict[str, Any]:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        found = json_value(data)
    if not isinstance(found, dict):
        raise no_converse("stream")
    return found
