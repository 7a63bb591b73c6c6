"""A provider's stream as deltas: bytes → events → what each says."""

from __future__ import annotations

import asyncio
import time

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta, StreamDecoder
from router_service.upstream.sse import EventParser
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed, StreamResponse


class DeltaReader:
    """Reads one stream to its end."""

    def __init__(self, response: StreamResponse, decoder: StreamDecoder) -> None:
        self._response = response
        self._decoder = decoder
        self._parser = EventParser()
        self.watch: StallWatch | None = None

    async def read(self) -> list[ChatDelta]:
        """What has come since, at least one delta; empty at the end. Raises ``ApiError``."""
        feed = self._decoder.feed
        while chunk := await self._next():
            found = [delta for event, data in self._parser.feed(chunk) if (delta := feed(event, data)) is not None]
            if found:
                return found
        return [delta for event, data in self._parser.finish() if (delta := feed(event, data)) is not None]

    async def _next(self) -> bytes:
        """Any bytes, a comment as well, are a sign of life."""
        watch = self.watch
        if watch is None:
            return await self._response.next()
        watch.waiting_since = time.perf_counter()
        chunk = await self._response.next()
        watch.waiting_since = None
        return chunk

    async def until_content(self, timeout_s: float) -> list[ChatDelta]:
        """Everything up to the first token. Raises ``ApiError`` when an error or the end comes before one."""
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
