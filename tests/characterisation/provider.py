"""A provider on loopback that serves the bytes of wire fixtures and keeps the requests that it received."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType

from tests.wire_cases import WireCase

# A pause between two pieces, so that the router reads them one by one on a machine that is not too busy.
PAUSE_S = 0.002
GATE_S = 60.0
PHRASES = {int(status): status.phrase for status in HTTPStatus}
_EVENT = re.compile(rb".*?(?:\r?\n\r?\n|$)", re.DOTALL)


@dataclass
class Exchange:
    """Holds what one path serves, the requests that came for it, and the router's id of the answer."""

    case: WireCase
    streamed: bool = False
    chunking: str = "whole"
    gate: threading.Event = field(default_factory=threading.Event)
    received: list[bytes] = field(default_factory=list)
    generation_id: str = ""


class ScriptedProvider:
    """Serves ``/<format>/<case>/…`` in a thread of its own."""

    def __init__(self, cases: Iterable[WireCase]) -> None:
        self._exchanges = {case.id: Exchange(case) for case in cases}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ScriptedProvider:
        self._thread.start()
        self._server = self._await(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    def url(self, case: WireCase) -> str:
        """Return the base address at which ``case`` is served."""
        return f"http://127.0.0.1:{self.port}/{case.id}/v1"

    def script(self, case: WireCase, *, streamed: bool, chunking: str = "whole") -> Exchange:
        """Serve ``case`` anew. ``chunking``: ``whole``, ``events``, ``cuts`` or ``gated``."""
        made = self._exchanges[case.id] = Exchange(case, streamed, chunking)
        return made

    def _await(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = await reader.readexactly(int(length[1])) if length else b""
            path = head.split(b" ", 2)[1].decode()
            exchange = self._exchanges["/".join(path.split("/")[1:3])]
            exchange.received.append(head + body)
            await self._answer(exchange, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange, writer: asyncio.StreamWriter) -> None:
        case = exchange.case
        if not exchange.streamed or case.stream is None:
            body = case.response or b""
            writer.write(_head(case.status, case.headers | {"content-type": case.media_type}, len(body)) + body)
            await writer.drain()
            return
        writer.write(_head(case.status, case.headers | {"content-type": "text/event-stream; charset=utf-8"}, None))
        for piece in _pieces(exchange):
            if piece is None:
                await asyncio.to_thread(exchange.gate.wait, GATE_S)
                continue
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            if exchange.chunking in ("events", "cuts"):
                await asyncio.sleep(PAUSE_S)
        if case.ending == "complete":
            writer.write(b"0\r\n\r\n")
        await writer.drain()


def _head(status: int, headers: dict[str, str], length: int | None) -> bytes:
    phrase = PHRASES.get(status, "Unknown")
    framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
    lines = [f"{name}: {value}" for name, value in (headers | framing | {"connection": "close"}).items()]
    return "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "", ""]).encode()


def _pieces(exchange: Exchange) -> list[bytes | None]:
    """Return the body in the pieces of the chunking; ``None`` is the gate, which the test opens."""
    body = exchange.case.stream or b""
    events = [event for event in _EVENT.findall(body) if event]
    match exchange.chunking:
        case "events":
            return list(events)
        case "cuts":
            # Seven cuts, none at the end of an event: within names, strings, characters and line ends.
            size = len(body) // 8 + 1
            return [body[at : at + size] for at in range(0, len(body), size)]
        case "gated":
            after = exchange.case.gate_after
            return [b"".join(events[:after]), None, b"".join(events[after:])]
        case _:
            return [body]
