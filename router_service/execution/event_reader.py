"""Read a provider's stream as batches of events: bytes are parsed into events of its framing, which are decoded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from router_service.core.answer import Batch, EventBatch, SplicedResponse, closes, failure_of
from router_service.core.errors import ApiError
from router_service.core.events import Failed, Metered
from router_service.core.usage import Usage
from router_service.providers.redaction import NO_SECRETS, SecretRedactor
from router_service.providers.wire_format import EventDecoder
from router_service.upstream.framing.selection import stream_parser
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed, StreamResponse

# An attempt is committed by its first content; a provider that sends more than this before it is not waited for.
MAX_BATCHES_BEFORE_CONTENT = 10_000


class EventReader:
    """Read one stream to its end. ``watch``, if set, learns when a read starts and ends.

    ``over`` is true once the answer is closed; bytes that follow are not read. ``redactor`` removes secrets that lie
    within one event of the stream (``StreamRedactor`` removes those that lie across several).
    """

    __slots__ = ("_decoder", "_parser", "_redact", "_response", "over", "watch")

    def __init__(self, response: StreamResponse, decoder: EventDecoder, redactor: SecretRedactor = NO_SECRETS) -> None:
        self._redact = redactor.redact_bytes
        self._response = response
        self._decoder = decoder
        self._parser = stream_parser(response.headers.get("content-type"), response.max_event_bytes)
        self.watch: StallWatch | None = None
        self.over = False

    async def read(self) -> list[Batch]:
        """Return the batches received since the last call, at least one; none at the end.

        What breaks the answer is ``Failed`` in the last batch. Raises ``ApiError`` where the connection fails.
        """
        response, watch = self._response, self.watch
        while not self.over:
            # Any bytes, even a comment, show that the provider is alive.
            if watch is not None:
                watch.waiting_since = time.perf_counter()
            chunk = await response.next()
            if watch is not None:
                watch.waiting_since = None
            found = self._decode(chunk)
            if found:
                return found
        return []

    async def read_until_content(self, timeout_s: float) -> list[Batch]:
        """Return all batches up to the first content or a complete answer without any, within ``timeout_s`` seconds.

        Raises ``ApiError`` where the provider fails or its stream ends before.
        """
        gathered: list[Batch] = []
        try:
            async with asyncio.timeout(max(timeout_s, 0.001)):
                while not self.over:
                    found = self._decode(await self._response.next())
                    gathered += found
                    if any(batch.has_content for batch in found):
                        return gathered
                    if (failed := failure_of(found)) is not None:
                        raise failed
                    if found and closes(found[-1]):
                        return gathered
                    if len(gathered) > MAX_BATCHES_BEFORE_CONTENT:
                        raise ApiError("provider_unavailable", "The provider's stream does not begin")
        except TimeoutError:
            raise DeadlineMissed("The provider sent no token in time") from None
        raise ApiError("provider_unavailable", "The provider's stream ended without a token")

    def usage_so_far(self) -> Usage | None:
        """Return the usage that the provider has reported and no batch has told yet. It ends the reading."""
        if self.over:
            return None
        self.over = True
        return usage_of([EventBatch(self._decoder.end())])

    def _decode(self, chunk: bytes) -> list[Batch]:
        """Return what ``chunk`` says; an empty one ends the stream."""
        found: list[Batch] = []
        feed = self._decoder.feed
        parser = self._parser
        # An event that is cut by the reads is whole only as an event. So is one of a binary framing, whose checksums
        # are those of its bytes as they arrived.
        apart = not parser.is_text or parser.is_within_event
        if parser.is_text:
            chunk = self._redact(chunk)
        try:
            for event, data in parser.feed(chunk) if chunk else parser.finish():
                batch = feed(event, self._redact(data) if apart else data)
                apart = not parser.is_text
                if batch is not None:
                    found.append(batch)
        except ApiError as error:
            # What came before in the same read is an answer still.
            found.append(EventBatch([Failed(error)]))
        if not chunk and (closing := self._decoder.end()):
            found.append(EventBatch(closing))
        if not chunk or (found and type(found[-1]) is EventBatch and closes(found[-1])):
            self.over = True
        return found


def usage_of(batches: Iterable[Batch]) -> Usage | None:
    """Return the last usage that ``batches`` report, if one does."""
    found: Usage | None = None
    for batch in batches:
        if isinstance(batch, SplicedResponse):
            found = batch.metered.usage if batch.metered is not None else found
        elif isinstance(batch, EventBatch):
            found = next((event.usage for event in reversed(batch.found) if isinstance(event, Metered)), found)
    return found
