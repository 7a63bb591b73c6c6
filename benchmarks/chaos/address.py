"""An address in front of the lab that can die, come back, and change its certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit

from tests.running import free_port


class Address:
    """Forwards bytes from a port of its own to ``target``, under ``tls`` if there is one. The methods may be called
    from any thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._loop = loop
        self._tls = tls
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._port}"

    def die(self) -> None:
        """Refuse connections and reset those that are open."""
        asyncio.run_coroutine_threadsafe(self._die(), self._loop).result(10)

    def come_back(self) -> None:
        """Accept again."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def show(self, tls: ssl.SSLContext) -> None:
        """Close what is open, and greet whoever comes from now on with another certificate."""
        self.die()
        self._tls = tls
        self.come_back()

    async def _die(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, forth}
        try:
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))
        finally:
            self._open -= {writer, forth}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side ends, and then both."""
    try:
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
