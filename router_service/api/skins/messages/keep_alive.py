"""Relay the batches of an answer to the client, with pings while there is nothing to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from router_service.api.skins.messages.stream import PING, MessagesStreamRenderer
from router_service.core.answer import Batch
from router_service.core.errors import ApiError

# The shortest read timeout of a common client is 5 s.
PING_INTERVAL_S = 4.0


async def relay(
    batches: AsyncIterator[Batch], renderer: MessagesStreamRenderer, interval_s: float = PING_INTERVAL_S
) -> AsyncIterator[bytes]:
    """Yield server-sent events, each complete; a ping follows every ``interval_s`` seconds without one.

    Pings never cancel the read of the next batch. It is cancelled only if the consumer closes this generator. An
    ``ApiError`` of ``batches``, and their end before that of the answer, become an ``error`` event.
    """
    loop = asyncio.get_running_loop()
    reading: asyncio.Future[Batch | None] | None = None
    ping_at = loop.time() + interval_s
    try:
        while not renderer.over:
            if reading is None:
                reading = asyncio.ensure_future(_next(batches))
            await asyncio.wait({reading}, timeout=max(0.0, ping_at - loop.time()))
            found = b""
            if reading.done():
                done, reading = reading, None
                found = _rendered(done, renderer)
            elif loop.time() >= ping_at:
                found = PING
            if found:
                yield found
                ping_at = loop.time() + interval_s
    finally:
        if reading is not None:
            reading.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await reading


async def _next(batches: AsyncIterator[Batch]) -> Batch | None:
    return await anext(batches, None)


def _rendered(done: asyncio.Future[Batch | None], renderer: MessagesStreamRenderer) -> bytes:
    try:
        batch = done.result()
        if batch is None:
            raise ApiError("provider_unavailable", "The provider's stream ended before it was finished")
        return renderer.feed(batch.events())
    except ApiError as error:
        return renderer.fail(error)
