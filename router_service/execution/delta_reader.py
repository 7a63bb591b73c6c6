"""Read a provider's stream as deltas: bytes are parsed into events, and events into deltas."""

from __future__ import annotations

import asyncio
import time

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta, StreamDecoder
from router_service.upstream.framing.sse import EventParser
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed, StreamResponse


class DeltaReader:
    """Read one stream to its end. ``watch``, if set, learns when a read starts and ends."""

    def __init__(self, response: StreamResponse, decoder: StreamDecoder) -> None:
        self._response = response
        self._decoder = decoder
        self._parser = EventParser(response.max_event_bytes)
        self.watch: StallWatch | None = None

    async def read(self) -> list[ChatDelta]:
        """Return the deltas received since the last call, at least one; empty at the end. Raises ``ApiError``."""
        feed = self._decoder.feed
        while chunk := await self._next():
            found = [delta for event, data in self._parser.feed(chunk) if (delta := feed(event, data)) is not None]
            if found:
                return found
        return [delta for event, data in self._parser.finish() if (delta := feed(event, data)) is not None]

    async def _next(self) -> bytes:
        """Read the next bytes; any bytes, even a comment, show that the provider is alive."""
        watch = self.watch
        if watch is None:
            return await self._response.next()
        watch.waiting_since = time.perf_counter()
        chunk = await self._response.next()
        watch.waiting_since = None
        return chunk

    async def read_until_content(self, timeout_s: float) -> list[ChatDelta]:
        """Return all deltas up to the first token, within ``timeout_s`` seconds.

        Raises ``ApiError`` when an error or the end comes before a token.
        """
        gathered: list[ChatDelta] = []
        try:
            async with asyncio.timeout(max(timeout_s, 0.001)):
                while batch := await self.read():
                    gathered += batch
                    if any(delta.content for delta in gathered):
                        return gathered
                    failed = next((delta.error for delta in batch if delta.error is not None), None)
                    if failed is not None:
                        raise failed
        except TimeoutError:
            raise DeadlineMissed("The provider sent no token in time") from None
        raise ApiError("provider_unavailable", "The provider's stream ended without a token")
