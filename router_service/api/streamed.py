"""Serve streamed responses. Only a failure before the first token fails over to the next endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import NamedTuple

from starlette.types import Send

from data.catalogue.types import Endpoint
from data.record.attempt import CLIENT_DEADLINE, Attempt
from router_service.api.event_stream import DONE, EventStream, KeptAlive
from router_service.api.metadata import metadata
from router_service.api.render import settle_usage
from router_service.api.services import Services
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision
from router_service.core.usage import Usage
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines, TotalTimeoutExpired
from router_service.execution.delta_reader import DeltaReader
from router_service.execution.upcoming_decisions import UpcomingDecisions
from router_service.providers.adapter import ChatDelta, StreamedChoice
from router_service.providers.moderation import stream_refusal
from router_service.providers.registry import ADAPTERS
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed, StreamResponse

_FAILED = (StreamedChoice(0, {"content": ""}, "error"),)


class OpenedStream(NamedTuple):
    """Provider's stream whose first token has arrived."""

    endpoint: Endpoint
    attempt: Attempt
    response: StreamResponse
    reader: DeltaReader
    first: list[ChatDelta]


class StreamedResponse:
    """Serve one streamed response."""

    def __init__(self, exchange: Exchange, services: Services, send: Send) -> None:
        self._exchange = exchange
        self._services = services
        self._out = EventStream(send, exchange.id, int(exchange.started_at))
        self._usage: Usage | None = None
        self._provider_name = ""
        self._taken = 0.0
        self._deadlines = Deadlines(exchange, services.timeouts, services.measured_deadlines)

    async def run(self, decisions: Iterator[Decision]) -> None:
        """Route the request and relay the stream. Raises ``ApiError`` only before the first byte is sent."""
        try:
            await self._run(decisions)
        finally:
            self._exchange.output_bytes = self._out.sent_bytes

    async def _run(self, decisions: Iterator[Decision]) -> None:
        exchange, services = self._exchange, self._services
        decisions = self._ahead = UpcomingDecisions(decisions, exchange)
        with KeptAlive(self._out, services.keepalive_interval_s):
            try:
                attempts = AttemptLoop(exchange, services.health, self._deadlines, services.outcomes, services.hedging)
                opened = await attempts.run(decisions, self._open, _close)
            except ApiError as error:
                if not self._out.started:
                    raise
                self._out.served_by((exchange.head and exchange.head.model) or "", None)
                await self._fail(error)
                return
            await self._relay(opened)

    async def _open(self, endpoint: Endpoint, attempt: Attempt, timeout_s: float) -> OpenedStream:
        services, head = self._services, self._exchange.head
        assert head is not None
        adapter = ADAPTERS[endpoint.wire_format]
        request = adapter.request(head.fields, endpoint, services.credentials.api_key(endpoint), stream=True)
        sent = time.perf_counter()
        response = await services.upstream.stream(request, timeout_s)
        try:
            attempt.status = response.status
            if response.status != 200:
                raise adapter.error(response.status, await response.read(), response.headers, endpoint)
            reader = DeltaReader(response, adapter.stream())
            first = await reader.read_until_content(timeout_s - (time.perf_counter() - sent))
            refused = stream_refusal(first) if head.models else None
            if refused and self._ahead.has_other_model():
                raise refused
        except BaseException:
            response.close()
            raise
        attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
        return OpenedStream(endpoint, attempt, response, reader, first)

    async def _relay(self, opened: OpenedStream) -> None:
        exchange, endpoint, attempt = self._exchange, opened.endpoint, opened.attempt
        exchange.model, exchange.endpoint, exchange.provider = attempt.model, endpoint.id, endpoint.provider
        exchange.wire_format = endpoint.wire_format
        exchange.status = 200
        self._provider_name = endpoint.provider_name
        self._out.served_by(attempt.model, endpoint.provider_name)
        begun = self._taken = time.perf_counter()
        base_us, complete = attempt.duration_us or 0, False
        deadlines = self._deadlines
        stall = deadlines.stall()
        watch = StallWatch(opened.response.abort, stall.seconds, deadlines.remaining_s, deadlines.expiry_error())
        opened.reader.watch = watch
        try:
            await self._chunks(opened)
        except ApiError as error:
            client_deadline = stall.from_client and isinstance(error, DeadlineMissed)
            attempt.error_type = CLIENT_DEADLINE if client_deadline else error.error_type
            exchange.deadline_expired = client_deadline or isinstance(error, TotalTimeoutExpired)
            settle_usage(exchange, self._usage, endpoint)
            await self._fail(error)
        except asyncio.CancelledError:
            settle_usage(exchange, self._usage, endpoint)
            raise
        else:
            took, complete = self._took(opened, begun), True
            opened.response.finish()
            if exchange.finish_reason == "error":
                # The response has status 200, but the reference's uptime counts it as a failure of the endpoint.
                attempt.error_type = "provider_unavailable"
            exchange.complete = True
        finally:
            watch.stop()
            opened.response.close()
            attempt.duration_us = took if complete else base_us + int((time.perf_counter() - begun) * 1e6)

    def _took(self, opened: OpenedStream, begun: float) -> int | None:
        """Return the duration of a complete response until the provider's last byte, in microseconds.

        It excludes the time that a slow client takes to read. ``None`` where the provider may have had to wait for
        the client.
        """
        attempt, ended = opened.attempt, opened.response.last_byte_at(self._taken)
        if ended is None:
            return None
        if ended <= begun:
            # The entire response arrived with the first token.
            return attempt.ttft_us
        return (attempt.duration_us or 0) + int((ended - begun) * 1e6)

    async def _chunks(self, opened: OpenedStream) -> None:
        exchange, read = self._exchange, opened.reader.read
        finished = await self._pass_on(opened.first)
        while not finished:
            waited = time.perf_counter()
            deltas = await read()
            self._taken = time.perf_counter()
            exchange.upstream_s += self._taken - waited
            if not deltas:
                break
            finished = await self._pass_on(deltas)
        if exchange.finish_reason is None and not finished:
            raise ApiError("provider_unavailable", "The provider's stream ended before it was finished")
        usage = settle_usage(exchange, self._usage, opened.endpoint)
        more = metadata(exchange, self._services.catalogue)
        await self._out.write(self._out.chunk((), usage=usage, **more) + DONE, more=False)

    async def _pass_on(self, deltas: list[ChatDelta]) -> bool:
        """Send ``deltas`` to the client; return true once the provider has ended the stream."""
        exchange, out = self._exchange, self._out
        lines: list[bytes] = []
        calls = exchange.tool_calls
        finished = False
        for delta in deltas:
            if delta.error is not None:
                if lines:
                    await out.write(b"".join(lines))
                raise delta.error
            if delta.upstream_id:
                exchange.upstream_id = delta.upstream_id
            if delta.usage:
                self._usage = delta.usage
            if delta.service_tier is not None and delta.service_tier != exchange.service_tier:
                exchange.service_tier = delta.service_tier
                out.served_by(exchange.model or "", self._provider_name, delta.service_tier)
            if delta.done:
                finished = True
            if delta.choices:
                for choice in delta.choices:
                    if calls is not None:
                        calls.add(choice.index, choice.delta)
                    if choice.finish_reason:
                        exchange.finish_reason = choice.finish_reason
                    if choice.native_finish_reason:
                        exchange.native_finish_reason = choice.native_finish_reason
                lines.append(out.chunk(delta.choices))
        if lines:
            if exchange.first_byte is None:
                exchange.first_byte = time.perf_counter()
            await out.write(b"".join(lines))
        return finished

    async def _fail(self, error: ApiError) -> None:
        """Send an error chunk in a stream that has started, and end it."""
        exchange = self._exchange
        exchange.error_type, exchange.finish_reason = error.error_type, "error"
        exchange.status = 200
        more = metadata(exchange, self._services.catalogue, error)
        await self._out.write(self._out.chunk(_FAILED, error=error.body(), **more) + DONE, more=False)


def _close(late: OpenedStream) -> Usage | None:
    """Close a stream that arrived too late to be used; return the usage that it has reported so far."""
    late.response.close()
    return next((delta.usage for delta in reversed(late.first) if delta.usage is not None), None)
