"""Answers that are sent as they come. Before the first token any failure moves on; after it, never."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import msgspec
from starlette.types import Send

from data.catalogue.types import Endpoint
from data.schema import Attempt
from router_service.api.render import settle_usage
from router_service.contract.errors import ApiError
from router_service.exchange import Exchange
from router_service.providers.contract import Delta, StreamDecoder, Usage
from router_service.providers.registry import ADAPTERS
from router_service.routing.attempts import Attempts
from router_service.routing.plan import Decision
from router_service.serving import Serving
from router_service.upstream.client import StreamResponse
from router_service.upstream.sse import EventParser

_encode = msgspec.json.Encoder().encode
KEEPALIVE = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"


class Opened(NamedTuple):
    """A stream whose first token has come."""

    endpoint: Endpoint
    attempt: Attempt
    response: StreamResponse
    deltas: AsyncIterator[list[Delta]]
    first: list[Delta]


class StreamAnswer:
    """One streamed answer."""

    def __init__(self, exchange: Exchange, serving: Serving, send: Send) -> None:
        self._exchange = exchange
        self._serving = serving
        self._send = send
        self._started = False
        self._usage: Usage | None = None

    async def run(self, decisions: Iterator[Decision]) -> None:
        """Raises ``ApiError`` only while nothing has been sent."""
        opening = asyncio.ensure_future(Attempts(self._exchange, self._serving.health).run(decisions, self._open))
        try:
            opened = await self._wait(opening)
        except ApiError as error:
            if not self._started:
                raise
            await self._fail(error, self._exchange.head.model or "" if self._exchange.head else "", None)
            return
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
        await self._relay(opened)

    async def _wait(self, opening: asyncio.Future[Opened]) -> Opened:
        """The opened stream; comments keep the connection alive meanwhile."""
        interval = self._serving.settings.keepalive_interval
        while True:
            done, _ = await asyncio.wait((opening,), timeout=interval)
            if done:
                return opening.result()
            await self._write(KEEPALIVE)

    async def _open(self, endpoint: Endpoint, attempt: Attempt) -> Opened:
        serving, head = self._serving, self._exchange.head
        assert head is not None
        adapter = ADAPTERS[endpoint.wire_format]
        request = adapter.request(head.fields, endpoint, serving.api_key(endpoint), stream=True)
        sent = time.perf_counter()
        response = await serving.upstream.stream(request, serving.settings.ttft_timeout)
        try:
            attempt.status = response.status
            if response.status != 200:
                raise adapter.error(response.status, await response.read(), response.headers, endpoint)
            deltas = _deltas(response, adapter.stream())
            remaining = serving.settings.ttft_timeout - (time.perf_counter() - sent)
            first = await _until_content(deltas, remaining)
        except BaseException:
            response.close()
            raise
        attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
        return Opened(endpoint, attempt, response, deltas, first)

    async def _relay(self, opened: Opened) -> None:
        exchange, endpoint, attempt = self._exchange, opened.endpoint, opened.attempt
        exchange.model, exchange.endpoint, exchange.provider = attempt.model, endpoint.id, endpoint.provider
        exchange.status = 200
        begun = time.perf_counter()
        base_us = attempt.duration_us or 0
        try:
            await self._chunks(opened)
        except ApiError as error:
            self._serving.health.failure(endpoint.id, error.error_type)
            attempt.error_type = error.error_type
            settle_usage(exchange, self._usage, endpoint)
            await self._fail(error, attempt.model, endpoint)
        except asyncio.CancelledError:
            settle_usage(exchange, self._usage, endpoint)
            raise
        else:
            seconds = (base_us / 1e6) + time.perf_counter() - begun
            tokens = self._usage.completion_tokens / seconds if self._usage and seconds > 0 else None
            self._serving.health.success(endpoint.id, (attempt.ttft_us or 0) / 1e6, tokens)
        finally:
            opened.response.close()
            attempt.duration_us = base_us + int((time.perf_counter() - begun) * 1e6)

    async def _chunks(self, opened: Opened) -> None:
        exchange, endpoint, model = self._exchange, opened.endpoint, opened.attempt.model
        finished = await self._pass_on(opened.first, endpoint, model)
        while not finished:
            waited = time.perf_counter()
            deltas = await anext(opened.deltas, None)
            exchange.upstream_wait += time.perf_counter() - waited
            if deltas is None:
                break
            finished = await self._pass_on(deltas, endpoint, model)
        if exchange.finish_reason is None and not finished:
            raise ApiError("provider_unavailable", "The provider's stream ended before it was finished")
        last = self._chunk(model, endpoint) | {
            "choices": [],
            "usage": settle_usage(exchange, self._usage, endpoint),
        }
        await self._write(b"data: " + _encode(last) + b"\n\n" + DONE, more=False)

    async def _pass_on(self, deltas: list[Delta], endpoint: Endpoint, model: str) -> bool:
        """Send what ``deltas`` say; true at the provider's own end."""
        exchange = self._exchange
        lines: list[bytes] = []
        finished = False
        for delta in deltas:
            if delta.error is not None:
                if lines:
                    await self._write(b"".join(lines))
                raise delta.error
            exchange.upstream_id = delta.upstream_id or exchange.upstream_id
            self._usage = delta.usage or self._usage
            finished = finished or delta.done
            if delta.choices:
                for choice in delta.choices:
                    exchange.finish_reason = choice["finish_reason"] or exchange.finish_reason
                    exchange.native_finish_reason = choice["native_finish_reason"] or exchange.native_finish_reason
                chunk = self._chunk(model, endpoint) | {"choices": delta.choices}
                lines.append(b"data: " + _encode(chunk) + b"\n\n")
        if lines:
            if exchange.first_byte is None:
                exchange.first_byte = time.perf_counter()
            await self._write(b"".join(lines))
        return finished

    async def _fail(self, error: ApiError, model: str, endpoint: Endpoint | None) -> None:
        """The error chunk of a stream that has begun, which then ends."""
        exchange = self._exchange
        exchange.error_type, exchange.finish_reason = error.error_type, "error"
        exchange.status = 200
        chunk = self._chunk(model, endpoint) | {
            "error": error.body(),
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}],
        }
        await self._write(b"data: " + _encode(chunk) + b"\n\n" + DONE, more=False)

    def _chunk(self, model: str, endpoint: Endpoint | None) -> dict[str, Any]:
        return {
            "id": self._exchange.id,
            "object": "chat.completion.chunk",
            "created": int(self._exchange.started_at),
            "model": model,
            "provider": endpoint.provider_name if endpoint else None,
        }

    async def _write(self, content: bytes, *, more: bool = True) -> None:
        if not self._started:
            self._started = True
            headers = [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                (b"x-generation-id", self._exchange.id.encode()),
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": content, "more_body": more})


async def _deltas(response: StreamResponse, decoder: StreamDecoder) -> AsyncIterator[list[Delta]]:
    parser = EventParser()
    async for chunk in response.chunks():
        found = [delta for event, data in parser.feed(chunk) if (delta := decoder.feed(event, data))]
        if found:
            yield found
    found = [delta for event, data in parser.finish() if (delta := decoder.feed(event, data))]
    if found:
        yield found


async def _until_content(deltas: AsyncIterator[list[Delta]], timeout_s: float) -> list[Delta]:
    """Everything up to the first token. Raises ``ApiError`` when an error or the end comes before one."""
    gathered: list[Delta] = []
    try:
        async with asyncio.timeout(max(timeout_s, 0.001)):
            async for batch in deltas:
                gathered += batch
                failed = next((delta.error for delta in batch if delta.error is not None), None)
                if failed is not None and not any(delta.content for delta in gathered):
                    raise failed
                if any(delta.content for delta in gathered):
                    return gathered
    except TimeoutError:
        raise ApiError("timeout", "The provider sent no token in time") from None
    raise ApiError("provider_unavailable", "The provider's stream ended without a token")
