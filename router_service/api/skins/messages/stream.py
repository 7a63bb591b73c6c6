"""Write the events of an answer as the server-sent events of a message stream.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from router_service.api.skins.messages.errors import error_body
from router_service.api.skins.messages.render import ending, message_usage, opened_message
from router_service.api.skins.messages.stream_blocks import BlockWriter, block_writer, json_line, sse
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Completed,
    Ended,
    Event,
    Failed,
    Finished,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
    PartProgressed,
)
from router_service.core.parts import Refusal
from router_service.core.usage import Usage

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
# Characters of the parts that wait for an open block to close.
MAX_WAITING = 16 * 1024 * 1024


class _WaitingPart(msgspec.Struct):
    writer: BlockWriter
    events: list[PartDelta | PartEnded] = []


class MessagesStreamRenderer:
    """Render one choice. Blocks are sequential: while one is open, the parts after it wait, up to ``MAX_WAITING``.

    ``over`` is true once the last event has been written.
    """

    __slots__ = (
        "_began", "_blocks", "_finished", "_id", "_max_waiting", "_model", "_refused", "_started", "_usage", "_waiting",
        "_waiting_size", "over",
    )  # fmt: skip

    def __init__(self, generation_id: str, model: str, max_waiting: int = MAX_WAITING) -> None:
        """Create the renderer; ``model`` is the client's name for it, ``max_waiting`` is in characters."""
        self.over = False
        self._id = generation_id
        self._model = model
        self._max_waiting = max_waiting
        self._began: Began | None = None
        self._started = self._refused = False
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._blocks = 0
        self._waiting: dict[int, _WaitingPart] = {}
        self._waiting_size = 0

    def render(self, batches: Sequence[Batch]) -> bytes:
        """Return complete server-sent events for ``batches``."""
        return self.feed(event for batch in batches for event in batch.events())

    def feed(self, events: Iterable[Event]) -> bytes:
        """Return complete server-sent events for ``events``, which may be none."""
        found: list[str] = []
        for event in events:
            if self.over:
                break
            try:
                found.append(self._event(event))
            except ApiError as error:
                found.append(self._error(error))
        if self._began is not None and not self.over:
            found.append(self._start())
        return "".join(found).encode()

    def fail(self, error: ApiError) -> bytes:
        """Return the event that ends a broken stream; empty if the stream is over."""
        return b"" if self.over else self._error(error).encode()

    def _event(self, event: Event) -> str:
        match event:
            case PartDelta() | PartBegan() | PartEnded():
                return self._start() + self._part(event)
            case Completed():
                # A chat answer has none.
                return ""
            case Began():
                # What is known of the usage comes right after it, and belongs into the first event.
                self._began = event
                return ""
            case Metered():
                self._usage = event.usage
                return ""
            case PartProgressed():
                # The part begins when it is complete; this API has no event for what comes before.
                return ""
            case Finished():
                if event.choice == 0:
                    self._finished = event
                return self._start()
            case Failed():
                raise event.error
            case Ended():
                return self._end()

    def _start(self) -> str:
        if self._started:
            return ""
        self._started = True
        began = self._began or Began()
        message = opened_message(self._id, self._model, self._usage, began.service_tier, began.extras)
        return sse("message_start", json_line({"type": "message_start", "message": message}))

    def _part(self, event: PartBegan | PartDelta | PartEnded) -> str:
        if event.choice != 0:
            return ""
        if isinstance(event, PartBegan):
            self._refused = self._refused or isinstance(event.part, Refusal)
            part = self._waiting[event.index] = _WaitingPart(block_writer(event.part, self._take_index))
            return part.writer.begin() if len(self._waiting) == 1 else ""
        part = self._waiting[event.index]
        if part is not next(iter(self._waiting.values())):
            if isinstance(event, PartDelta):
                self._wait_for(event)
            part.events.append(event)
            return ""
        if isinstance(event, PartDelta):
            return part.writer.add(event)
        return self._close(event)

    def _wait_for(self, delta: PartDelta) -> None:
        self._waiting_size += len(delta.text) + len(delta.data) + len(delta.transcript) + 64
        if self._waiting_size > self._max_waiting:
            raise ApiError("provider_unavailable", "The answer has too much in parallel parts to put it in order")

    def _close(self, event: PartEnded) -> str:
        """End the open block, and write what its successors have waited with."""
        found = [self._waiting.pop(event.index).writer.end(event)]
        while self._waiting:
            index, part = next(iter(self._waiting.items()))
            found.append(part.writer.begin())
            ended = False
            for waited in part.events:
                if isinstance(waited, PartEnded):
                    found.append(part.writer.end(waited))
                    ended = True
                else:
                    found.append(part.writer.add(waited))
                    self._waiting_size -= len(waited.text) + len(waited.data) + len(waited.transcript) + 64
            part.events.clear()
            if not ended:
                break
            del self._waiting[index]
        return "".join(found)

    def _take_index(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _end(self) -> str:
        delta = ending(self._finished or Finished(choice=0, reason="error"), refused=self._refused)
        self.over = True
        usage = message_usage(self._usage, None)
        event = {"type": "message_delta", "delta": delta, "usage": usage}
        stop = sse("message_stop", '{"type":"message_stop"}')
        return self._start() + sse("message_delta", json_line(event)) + stop

    def _error(self, error: ApiError) -> str:
        self.over = True
        return sse("error", json_line(error_body(error, self._id)))
