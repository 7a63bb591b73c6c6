"""Write a response to the client: one body, or a stream of server-sent events that is kept alive while it is silent."""

from __future__ import annotations

import asyncio

from router_service.api.skins.skin import Headers
from router_service.core.client_connection import ResponseChannel
from router_service.core.ticker import Ticker, running_ticker

# Keep-alives that find out whether a client has gone, and the seconds between them: a packet's way there and back.
PROBES = 2
PROBE_PAUSE_S = 0.25


class EventWriter:
    """Write one response. A keep-alive is sent whenever nothing was written for ``interval_s`` seconds, to a tenth.

    The first byte of a stream sends status 200; until then an error can still set its own status. A keep-alive is a
    message of its own, and what is written consists of whole events, so that it never comes between their bytes.
    ``common`` are the headers that every response to the request has, as HTTP sends them.
    """

    __slots__ = (
        "_common", "_headers", "_interval_s", "_keepalive", "_over", "_probes", "_response", "_ticker", "_writing",
        "_written_at", "sent_bytes", "started",
    )  # fmt: skip

    def __init__(self, response: ResponseChannel, keepalive: bytes, interval_s: float, common: bytes) -> None:
        self._response = response
        self._common = common
        self._keepalive = keepalive
        self._interval_s = interval_s
        self._headers: Headers = []
        self._written_at = 0.0
        self._ticker: Ticker | None = None
        self._writing: asyncio.Task[None] | None = None
        self._over = False
        self._probes = 0
        self.started = False
        self.sent_bytes = 0

    def keep_alive(self, headers: Headers) -> None:
        """Begin to keep a stream alive; ``headers`` are those of its response."""
        self._headers = headers
        ticker = self._ticker = running_ticker()
        self._written_at = ticker.now()
        ticker.add(self)

    def add_headers(self, headers: Headers) -> None:
        """Add to the headers of the stream, unless they were sent already."""
        if headers and not self.started:
            self._headers = [*self._headers, *headers]

    async def write(self, content: bytes, *, more: bool = True) -> None:
        """Send whole events; ``more=False`` ends the stream."""
        assert self._ticker is not None
        self._written_at = self._ticker.now()
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
        if self.started and not self._over and self._ticker is not None:
            self._probes = PROBES - 1
            if self._writing is None:
                self._send_keepalive()

    def stop(self) -> None:
        """Send no more keep-alives."""
        self._over = True
        if self._ticker is not None:
            self._ticker.remove(self)

    def tick(self) -> None:
        """Send a keep-alive if it is due."""
        # One that still waits for a slow client is enough.
        if self._writing is not None or self._ticker is None:
            return
        silent_s = self._ticker.now() - self._written_at
        if self._probes and silent_s >= PROBE_PAUSE_S:
            self._probes -= 1
            self._send_keepalive()
        elif silent_s >= self._interval_s:
            self._send_keepalive()

    def _send_keepalive(self) -> None:
        self._writing = asyncio.get_running_loop().create_task(self._keep())
        self._writing.add_done_callback(self._forget)

    async def _keep(self) -> None:
        # The stream may have ended since it was due.
        if not self._over:
            await self.write(self._keepalive)

    def _forget(self, _written: asyncio.Task[None]) -> None:
        self._writing = None
