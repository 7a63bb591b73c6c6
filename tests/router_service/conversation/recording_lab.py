"""Keep what a lab's providers received and answered, apart from how the router read either."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lab.intake import read_body
from lab.server import BodyReader, Lab
from lab.wire import Wire
from tests.router_service.conversation.spoken import SPOKEN
from tests.router_service.conversation.spoken.spoken_format import Item


@dataclass
class LabExchange:
    """Hold one request as a provider received it, and the bytes of its answer."""

    provider: str
    wire_format: str
    body: dict[str, Any]
    text: str
    streamed: bool
    answer: bytearray = field(default_factory=bytearray)

    def items(self) -> list[Item]:
        """Return what the provider answered, in order, as ``SpokenFormat.items`` does."""
        return SPOKEN[self.wire_format].items(bytes(self.answer), self.streamed)

    def proofs(self) -> list[str]:
        """Return the signatures and the encrypted reasoning of the answer."""
        proving = ("thinking", "redacted", "sealed", "signed")
        return [item[-1] for item in self.items() if item[0] in proving and item[-1] is not None]

    def readable_reasoning(self) -> str:
        """Return the reasoning that the provider shows."""
        return SPOKEN[self.wire_format].readable(bytes(self.answer), self.streamed, self.items())


@dataclass
class RecordingLab(Lab):
    """Append every request to ``exchanges``, which labs may share."""

    exchanges: list[LabExchange] = field(default_factory=list)

    async def answer(
        self,
        provider: str,
        request: Request,
        wire: Wire,
        address: Mapping[str, Any] | None = None,
        read: BodyReader = read_body,
    ) -> Response:
        content, path = await request.body(), request.url.path
        body = json.loads(content)
        # Where the address has the model, it says as well whether a stream is wanted.
        streamed = bool((address or body).get("stream"))
        wire_format = next(name for name, spoken in SPOKEN.items() if spoken.path.search(path))
        exchange = LabExchange(provider, wire_format, body, content.decode(), streamed)
        self.exchanges.append(exchange)
        response = await super().answer(provider, request, wire, address, read)
        if isinstance(response, StreamingResponse):
            response.body_iterator = _copied(response.body_iterator, exchange.answer)  # type: ignore[arg-type]
        else:
            exchange.answer += bytes(response.body)
        return response


async def _copied(pieces: AsyncGenerator[bytes], into: bytearray) -> AsyncIterator[bytes]:
    # The lab counts a stream as cancelled when it is closed, which without this waits for the garbage collector.
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            into += piece
            yield piece
