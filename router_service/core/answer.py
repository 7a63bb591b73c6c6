"""Carry an answer from a wire format to a client API in batches of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, Metered, PartDelta, PartProgressed

# Begins the name of an event by which the framing of a stream, not its content, tells that the provider has failed.
STREAM_EXCEPTION = "exception:"


class SplicedChoice(msgspec.Struct):
    """Hold one choice of a chunk whose bytes a decoder has verified, for a client API of the same dialect.

    ``delta`` is JSON with known keys of known types, valid UTF-8 and on one line; in a non-streaming response it is the
    complete message. Both finish reasons are the reference's and the provider's own.
    """

    index: int
    delta: msgspec.Raw
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Batch(Protocol):
    """Hold what one read of the provider's stream brought."""

    @property
    def dialect(self) -> str | None:
        """Return the dialect of ``spliced``, or ``None`` where the batch can be read as events alone."""

    @property
    def spliced(self) -> list[SplicedChoice]:
        """Return the verified choices; empty where ``dialect`` is ``None``."""

    @property
    def began(self) -> Began | None:
        """Return the beginning of the answer if a spliced batch has it."""

    @property
    def has_calls(self) -> bool:
        """Return whether verified choices have tool calls."""

    @property
    def is_plain(self) -> bool:
        """Return whether the only verified choice, which has begun before, says neither a call nor an end."""

    @property
    def has_content(self) -> bool:
        """Return whether the batch commits the attempt, which ``commits`` says of events."""

    def events(self) -> list[Event]:
        """Return the events. Call it once, in the order of the batches; a spliced batch may be left out."""


class EventBatch(msgspec.Struct):
    """Implement ``Batch`` by events alone."""

    found: list[Event]
    has_content: bool = False
    dialect: str | None = None
    spliced: list[SplicedChoice] = []
    began: Began | None = None
    has_calls: bool = False
    is_plain: bool = False

    def events(self) -> list[Event]:
        return self.found


class LazyBatch(msgspec.Struct):
    """Implement ``Batch`` by verified choices, which ``expand`` turns into events where a reader needs them.

    Without a dialect there are no choices, and the events are made when they are read. ``said`` are the deltas of the
    choices as the decoder has read them, each with the names of the dialect as attributes.
    """

    dialect: str | None
    spliced: list[SplicedChoice]
    has_content: bool
    expand: Callable[[], list[Event]]
    began: Began | None = None
    has_calls: bool = False
    is_plain: bool = False
    said: Sequence[Any] = ()

    def events(self) -> list[Event]:
        return self.expand()


class DeltaFrame(msgspec.Struct, frozen=True, gc=False):
    """Hold the JSON of a verified delta ``before`` and ``after`` its text, which alone differs from chunk to chunk."""

    index: int
    before: bytes
    after: bytes
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class TextBatch(msgspec.Struct, gc=False):
    """Implement ``Batch`` by one ``text`` in a ``frame``: a verified JSON string on one line, which says ``said``.

    ``expand`` returns the events of such a batch.
    """

    frame: DeltaFrame
    text: bytes
    dialect: str
    expand: Callable[[TextBatch], list[Event]]
    said: str
    began: ClassVar[Began | None] = None
    has_content: ClassVar[bool] = True
    has_calls: ClassVar[bool] = False
    is_plain: ClassVar[bool] = True

    @property
    def spliced(self) -> list[SplicedChoice]:
        """Return the only choice."""
        frame = self.frame
        delta = msgspec.Raw(frame.before + self.text + frame.after)
        return [SplicedChoice(frame.index, delta, None, None, frame.logprobs)]

    def events(self) -> list[Event]:
        return self.expand(self)


class SplicedResponse(msgspec.Struct):
    """Implement ``Batch`` by the verified messages of a complete response: it begins and ends its answer."""

    dialect: str
    spliced: list[SplicedChoice]
    expand: Callable[[], list[Event]]
    began: Began
    metered: Metered | None = None
    has_content: bool = True
    has_calls: bool = False
    is_plain: bool = False

    def events(self) -> list[Event]:
        return [self.began, *self.expand(), *([self.metered] if self.metered else ()), Ended()]


def closes(batch: Batch) -> bool:
    """Return whether ``batch`` ends its answer: a complete response does, or the last event of a batch of events."""
    if isinstance(batch, EventBatch):
        return bool(batch.found) and isinstance(batch.found[-1], Ended | Failed)
    return isinstance(batch, SplicedResponse)


def commits(events: Sequence[Event]) -> bool:
    """Return whether ``events`` commit an attempt: with content, or with the reason of an end that may have none.

    A tool that runs at the provider commits it as well: it may take longer than a provider has for its first token, and
    it is billed.
    """
    return any(isinstance(event, PartDelta | PartProgressed | Finished) for event in events)


def failure_of(batches: Sequence[Batch]) -> ApiError | None:
    """Return the error that ends ``batches``, if one does."""
    last = batches[-1] if batches else None
    event = last.found[-1] if isinstance(last, EventBatch) and last.found else None
    return event.error if isinstance(event, Failed) else None
