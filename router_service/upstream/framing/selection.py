"""Select how the events of a stream are framed, by the content type that its response declares."""

from __future__ import annotations

from typing import Protocol

from router_service.upstream.framing import aws_event_stream
from router_service.upstream.framing.aws_event_stream import AwsEventParser
from router_service.upstream.framing.sse import Event, EventParser


class StreamParser(Protocol):
    """Parse a stream of events incrementally. ``is_text`` tells whether its bytes may be changed before they are."""

    is_text: bool

    @property
    def is_within_event(self) -> bool:
        """Return whether the bytes so far end within an event."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes, as (name, data). Raises ``ApiError`` for what is no event."""

    def finish(self) -> list[Event]:
        """Return the events that the end of the stream completes. Raises as ``feed`` does."""


def stream_parser(content_type: str | None, max_event_bytes: int) -> StreamParser:
    """Return the parser for a stream of ``content_type``; server-sent events are what all other types are read as."""
    declared = (content_type or "").partition(";")[0].strip().lower()
    if declared == aws_event_stream.CONTENT_TYPE:
        return AwsEventParser(max_event_bytes)
    return EventParser(max_event_bytes)
