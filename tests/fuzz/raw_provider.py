"""Serve providers whose responses are raw bytes, with a fault in each, on loopback."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType

# What a script writes, by whether the router asked for a stream. A script that returns keeps the connection open.
Script = Callable[[asyncio.StreamWriter, bool], Awaitable[None]]
CLOSE_S = 30.0
LARGEST_REQUEST = 64 * 1024 * 1024
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class RawProvider:
    """Serve ``/<name>/…`` by the script of that name, in a thread of its own.

    ``served`` counts the requests by name. ``cut`` counts the connections that the router closed during a script.
    """

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.scripts = dict(scripts)
        self.served: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> RawProvider:
        self._thread.start()
        self._server = self._await(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LARGEST_REQUEST))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        self._loop.close()

    def url(self, name: str) -> str:
        """Return the base address of the provider ``name``."""
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    def _await(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CLOSE_S)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = ""
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                name = head.split(b" ", 2)[1].decode().split("/")[1]
                self.served[name] += 1
                await self.scripts[name](writer, b'"stream":true' in body.replace(b" ", b""))
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        except ConnectionError:
            self.cut[name] += 1
        finally:
            writer.close()


def respond(
    body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "", length: int | None = None
) -> Script:
    """Return the script of one complete response."""

    async def script(writer: asyncio.StreamWriter, _streamed: bool) -> None:
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}content-length: {size}\r\n\r\n"
        writer.write(head.encode("latin-1") + body)

    return script


def by_mode(whole: Script, stream: Script) -> Script:
    """Return the script that answers a streamed request by ``stream`` and any other by ``whole``."""

    async def script(writer: asyncio.StreamWriter, streamed: bool) -> None:
        await (stream if streamed else whole)(writer, streamed)

    return script


def raw(*parts: bytes, pause_s: float = 0.0, close: bool = False) -> Script:
    """Return the script that writes ``parts`` and, with ``close``, ends the connection."""

    async def script(writer: asyncio.StreamWriter, _streamed: bool) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if close:
            writer.close()

    return script


def endless(begin: bytes, part: bytes, pause_s: float = 0.0) -> Script:
    """Return the script that writes ``begin`` and then ``part`` again and again, until the router closes."""

    async def script(writer: asyncio.StreamWriter, _streamed: bool) -> None:
        writer.write(begin)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return script
