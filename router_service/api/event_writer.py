"""Write a response to the client: one body, or a stream of server-sent events that is kept alive while it is silent."""

from __future__ import annotations

import asyncio

from router_service.api.skins.skin import Headers
from router_service.core.client_connection import ResponseChannel

# Keep-alives that find out whether a client has gone, and the seconds between them: a packet's way there and back.
PROBES = 2
PROBE_PAUSE_S = 0.25


class EventWriter:
    """Write one response. A keep-alive is sent whenever nothing was written for ``interval_s`` seconds.

    The first byte of a stream sends status 200; until then an error can still set its own status. A keep-alive is a
    message of its own, and what is written consists of whole events, so that it never comes between their bytes.
    ``common`` are the headers that every response to the request has, as HTTP sends them.
    """

    __slots__ = (
        "_common", "_headers", "_interval_s", "_keepalive", "_now", "_over", "_probes", "_response", "_timer",
        "_writing", "_written_at", "sent_bytes", "started",
    )  # fmt: skip

    def __init__(self, response: ResponseChannel, keepalive: bytes, interval_s: float, common: bytes) -> None:
        self._response = response
        self._common = common
        self._keepalive = keepalive
        self._interval_s = interval_s
        self._headers: Headers = []
        self._written_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._over = False
        self._probes = 0
        self.started = False
        self.sent_bytes = 0

    def keep_alive(self, headers: Headers) -> None:
        """Begin to keep a stream alive; ``headers`` are those of its response."""
        self._headers = headers
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._written_at = loop.time()
        self._timer = loop.call_later(self._interval_s, self._check, loop)

    def add_headers(self, headers: Headers) -> None:
        """Add to the headers of the stream, unless they were sent already."""
        if headers and not self.started:
            self._headers = [*self._headers, *headers]

    async def write(self, content: bytes, *, more: bool = True) -> None:
        """Send whole events; ``more=False`` ends the stream."""
        self._written_at = self._now()
        if not more:
            self.stop()
        response = self._response
        if response.must_wait:
            await response.drain()
        if not self.started:
            self.started = True
            response.begin(200, self._headers, lines=self._common)
        response.write(content, more=more)
        self.sent_bytes += len(content)

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a response with one body."""
        self.stop()
        self.started = True
        response = self._response
        if response.must_wait:
            await response.drain()
        response.begin(status, headers, lines=self._common, length=len(body))
        response.write(body, more=False)
        self.sent_bytes += len(body)

    def probe(self) -> None:
        """Write two keep-alives soon: a client that has gone resets the connection, which the second one notices."""
        if self.started and not self._over and self._timer is not None:
            self._timer.cancel()
            self._probes = PROBES
            self._check(asyncio.get_running_loop())

    def stop(self) -> None:
        """Send no more keep-alives."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._over:
            return
        silent_s = loop.time() - self._written_at
        # A keep-alive that still waits for a slow client is enough.
        if (silent_s >= self._interval_s or self._probes) and self._writing is None:
            self._writing = loop.create_task(self._keep())
            self._writing.add_done_callback(self._forget)
            silent_s = 0.0
            self._probes = max(0, self._probes - 1)
        interval_s = min(self._interval_s, PROBE_PAUSE_S) if self._probes else self._interval_s
        self._timer = loop.call_later(max(interval_s - silent_s, 0.001), self._check, loop)

    async def _keep(self) -> None:
        # The stream may have ended since the timer fired.
        if not self._over:
            await self.write(self._keepalive)

    def _forget(self, _written: asyncio.Task[None]) -> None:
        self._writing = None
