"""Read a provider's stream as batches of events: bytes are parsed into server-sent events, and these are decoded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Failed
from router_service.providers.wire_format import EventDecoder
from router_service.upstream.framing.sse import EventParser
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed, StreamResponse

# An attempt is committed by its first content; a provider that sends more than this before it is not waited for.
MAX_EVENTS_BEFORE_CONTENT = 10_000


class EventReader:
    """Read one stream to its end. ``watch``, if set, learns when a read starts and ends.

    ``over`` is true once the answer is closed; bytes that follow are not read.
    """

    def __init__(self, response: StreamResponse, decoder: EventDecoder) -> None:
        self._response = response
        self._decoder = decoder
        self._parser = EventParser(response.max_event_bytes)
        self.watch: StallWatch | None = None
        self.over = False

    async def read(self) -> list[Event]:
        """Return the events received since the last call, at least one; empty at the end. Raises ``ApiError``."""
        while not self.over:
            chunk = await self._next()
            parsed = self._parser.feed(chunk) if chunk else self._parser.finish()
            found, _ = self._decode(parsed)
            if not chunk and not self.over:
                found += self._decoder.end()
                self.over = True
            if found:
                return found
        return []

    async def read_until_content(self, timeout_s: float) -> list[Event]:
        """Return all events up to the first content, within ``timeout_s`` seconds.

        Raises ``ApiError`` where the provider fails or ends before.
        """
        gathered: list[Event] = []
        try:
            async with asyncio.timeout(max(timeout_s, 0.001)):
                while not self.over:
                    chunk = await self._next()
                    found, content = self._decode(self._parser.feed(chunk) if chunk else self._parser.finish())
                    if not chunk and not self.over:
                        found += self._decoder.end()
                        self.over = True
                    gathered += found
                    if content:
                        return gathered
                    if (failed := failure_of(found)) is not None:
                        raise failed
                    if len(gathered) > MAX_EVENTS_BEFORE_CONTENT:
                        raise ApiError("provider_unavailable", "The provider's stream does not begin")
        except TimeoutError:
            raise DeadlineMissed("The provider sent no token in time") from None
        raise ApiError("provider_unavailable", "The provider's stream ended without a token")

    def _decode(self, parsed: Iterable[tuple[str | None, bytes]]) -> tuple[list[Event], bool]:
        found: list[Event] = []
        content = False
        for event, data in parsed:
            batch = self._decoder.feed(event, data)
            if batch is None:
                continue
            found += batch.events()
            content = content or batch.has_content
            if found and isinstance(found[-1], Ended | Failed):
                self.over = True
                break
        return found, content

    async def _next(self) -> bytes:
        """Read the next bytes; any bytes, even a comment, show that the provider is alive."""
        watch = self.watch
        if watch is None:
            return await self._response.next()
        watch.waiting_since = time.perf_counter()
        chunk = await self._response.next()
        watch.waiting_since = None
        return chunk


def failure_of(events: Iterable[Event]) -> ApiError | None:
    """Return the error of the event that fails the answer, if there is one."""
    return next((event.error for event in events if isinstance(event, Failed)), None)
