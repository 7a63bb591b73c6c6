"""Send a server-sent event stream to the client: chunks in the reference's shape, and keep-alive comments."""

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
    """Write server-sent events. The first write sends status 200; until then an error can still set its own status.

    ``sent_at`` is when something was sent last, in seconds of the event loop's clock. ``ended`` is true once the last
    part of the body was sent.
    """

    def __init__(self, send: Send, generation_id: str, created: int) -> None:
        """Create the stream; ``created`` is in Unix seconds."""
        self._send = send
        self._id = generation_id
        self._created = created
        self._head = b""
        self.started = False
        self.sent_bytes = 0
        self.sent_at = 0.0
        self.ended = False
        self._now = asyncio.get_running_loop().time
        self.served_by("", None)

    def served_by(self, model: str, provider: str | None, service_tier: str | None = None) -> None:
        """Set the model, provider and service tier of all later chunks; an unknown tier is left out."""
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
        """Return one chunk as an event."""
        rest = b"," + _encode(more)[1:] if more else b"}"
        return self._head + _encode(choices) + rest + b"\n\n"

    async def write(self, content: bytes, *, more: bool = True) -> None:
        """Send ``content``, which consists of whole events; ``more=False`` marks the last part of the body."""
        self.sent_at = self._now()
        self.ended = not more
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
    """Send a comment whenever nothing was sent for ``interval`` seconds, while the ``with`` block runs."""

    def __init__(self, stream: EventStream, interval: float) -> None:
        self._stream = stream
        self._interval = interval
        self._comment: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._stream.sent_at = loop.time()
        self._timer = loop.call_later(self._interval, self._check, loop)

    def __exit__(self, *_error: object) -> None:
        # Nothing is awaited here: the server reports a client whose response has ended as disconnected.
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._stream.ended:
            return
        silent_s = loop.time() - self._stream.sent_at
        # A comment that still waits for a slow client is enough.
        if silent_s >= self._interval and (self._comment is None or self._comment.done()):
            self._comment = loop.create_task(self._stream.write(KEEPALIVE))
            silent_s = 0.0
        self._timer = loop.call_later(max(self._interval - silent_s, 0.001), self._check, loop)
