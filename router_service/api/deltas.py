"""A provider's stream as deltas: bytes → events → what each says."""

from __future__ import annotations

import asyncio

from router_service.contract.errors import ApiError
from router_service.providers.contract import Delta, StreamDecoder
from router_service.upstream.interface import StreamResponse
from router_service.upstream.sse import EventParser


class DeltaReader:
    """Reads one stream to its end."""

    def __init__(self, response: StreamResponse, decoder: StreamDecoder) -> None:
        self._response = response
        self._decoder = decoder
        self._parser = EventParser()

    async def read(self) -> list[Delta]:
        """What has come since, at least one delta; empty at the end. Raises ``ApiError``."""
        feed = self._decoder.feed
        while chunk := await self._response.next():
            found = [delta for event, data in self._parser.feed(chunk) if (delta := feed(event, data)) is not None]
            if found:
                return found
        return [delta for event, data in self._parser.finish() if (delta := feed(event, data)) is not None]

    async def until_content(self, timeout_s: float) -> list[Delta]:
        """Everything up to the first token. Raises ``ApiError`` when an error or the end comes before one."""
        gathered: list[Delta] = []
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
            raise ApiError("timeout", "The provider sent no token in time") from None
        raise ApiError("provider_unavailable", "The provider's stream ended without a token")
