"""The client's side of a stream: chunks in the reference's shape, comments while there is nothing to send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.types import Send

from router_service.providers.adapter import StreamedChoice

KEEPALIVE = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode


class EventStream:
    """Starts the answer with its first write: until then an error can still have a status of its own."""

    def __init__(self, send: Send, generation_id: str, created: int) -> None:
        """``created`` in Unix seconds."""
        self._send = send
        self._id = generation_id
        self._created = created
        self._head = b""
        self.started = False
        self.sent_bytes = 0
        self.served_by("", None)

    def served_by(self, model: str, provider: str | None, service_tier: str | None = None) -> None:
        """What the chunks from here on name; the tier only where it is known."""
        head = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": model,
            "provider": provider,
        }
        if service_tier is not None:
            head["service_tier"] = service_tier
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":'

    def chunk(self, choices: Sequence[StreamedChoice], **more: Any) -> bytes:
        """One event."""
        rest = b"," + _encode(more)[1:] if more else b"}"
        return self._head + _encode(choices) + rest + b"\n\n"

    async def write(self, content: bytes, *, more: bool = True) -> None:
        """Send; the last piece has ``more=False``."""
        if not self.started:
            self.started = True
            headers = [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                (b"x-generation-id", self._id.encode()),
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": content, "more_body": more})
        self.sent_bytes += len(content)


class KeptAlive:
    """``async with``: every ``interval`` seconds of the body a comment goes out."""

    def __init__(self, stream: EventStream, interval: float) -> None:
        self._stream = stream
        self._interval = interval
        self._comments: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._begin)

    async def __aexit__(self, *_error: object) -> None:
        self._timer.cancel()
        if self._comments is not None:
            self._comments.cancel()
            await asyncio.gather(self._comments, return_exceptions=True)

    def _begin(self) -> None:
        self._comments = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while True:
            await self._stream.write(KEEPALIVE)
            await asyncio.sleep(self._interval)
