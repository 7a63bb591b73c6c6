"""Serve one client-facing API: authenticate, parse, dispatch, render and settle. The same path for every skin."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import reduce
from urllib.parse import quote

import msgspec
from starlette.types import Receive, Scope, Send

from data.catalogue.types import Task
from router_service.accounting.cancelled import price_abandoned_call
from router_service.api.asgi import read_body, take_arrived_body
from router_service.api.event_writer import EventWriter
from router_service.api.metadata import is_asked
from router_service.api.release import MIN_RELEASED_BYTES, release, search_large
from router_service.api.response_ids import header_lines
from router_service.api.services import Services
from router_service.api.skins.skin import ClientFace, Headers, ParsedRequest, Skin
from router_service.api.step_dispatch import StepDispatch
from router_service.core.answer import Batch, EventBatch, failure_of
from router_service.core.client_connection import CONNECTION_KEY, ClientConnection, ClientDisconnected
from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Metered
from router_service.core.exchange import Exchange
from router_service.core.large_bodies import LARGE_BODY_BYTES, translate
from router_service.core.request import receive_request
from router_service.core.tool_calls import ToolCallCollector
from router_service.core.usage import Usage
from router_service.middleware.middleware import Answer, wrap
from router_service.planning.availability import NoEndpoints

logger = logging.getLogger(__name__)
# nginx's status for a client that has disconnected.
CLIENT_CLOSED = 499
# Of a response whose record waits for a log that cannot be written now.
NOT_LOGGED = b"x-portolan-logged: false\r\n"
MAX_REPORT_CHARACTERS = 2048
DROPPED_HEADER = b"x-portolan-dropped-parameters"


class RequestHandler(ABC):
    """Serve the requests of one skin, as an ASGI application: whatever becomes of one is told and recorded."""

    def __init__(self, services: Services, face: ClientFace, task: Task = "chat") -> None:
        self._services = services
        self._face = face
        self._task = task

    @abstractmethod
    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, writer: EventWriter) -> None:
        """Answer one request. Raises ``ApiError`` where it has no answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (part of ASGI)
        exchange = Exchange(receive_request(self._face.name, dict(scope["headers"]), self._task))
        outcome = exchange.outcome
        services, response = self._services, scope["state"][CONNECTION_KEY].response
        common = header_lines(exchange.request, services.cross_origin)
        if not services.log.healthy:
            common += NOT_LOGGED
        writer = EventWriter(response, self._face.keepalive, services.keepalive_interval_s, common)
        try:
            await self._serve(exchange, scope, receive, writer)
        except ApiError as error:
            outcome.status, outcome.error_type = error.code, error.error_type
            if isinstance(error, NoEndpoints):
                exchange.route.rejected_plan = error.plan
            await self._refuse(exchange, error, writer)
        except RecursionError:
            # A value that was passed over as raw JSON is decoded deeper in the stack than its bound was checked.
            fault = ApiError("invalid_request", "The request body is nested too deeply; send a flatter structure")
            outcome.status, outcome.error_type = fault.code, fault.error_type
            await self._refuse(exchange, fault, writer)
        except ClientDisconnected:
            outcome.cancelled, outcome.status = True, CLIENT_CLOSED
            outcome.ended_by_client = True
        except asyncio.CancelledError:
            outcome.cancelled, outcome.status = True, CLIENT_CLOSED
            outcome.ended_by_client = False
            raise
        except Exception:
            logger.exception("request %s failed", exchange.request.id)
            fault = ApiError("server", "Internal error; the router's own log has it under the generation id")
            outcome.status, outcome.error_type = fault.code, fault.error_type
            await self._refuse(exchange, fault, writer)
        finally:
            writer.stop()
            outcome.output_bytes = writer.sent_bytes
            settle(exchange, services)

    async def _refuse(self, exchange: Exchange, error: ApiError, writer: EventWriter) -> None:
        """Send the error of a request that has no answer, unless its answer has begun."""
        if writer.started:
            return
        refusal = self._face.error(error, exchange)
        await writer.respond(refusal.status, refusal.headers, refusal.body)


class GenerationHandler(RequestHandler):
    """Serve the generation requests of one skin."""

    def __init__(self, services: Services, skin: Skin) -> None:
        super().__init__(services, skin)
        self._skin = skin

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, writer: EventWriter) -> None:
        services = self._services
        await admit(exchange, services, scope, receive)
        query, size, parse = scope.get("query_string", b""), exchange.request.body_bytes, self._skin.parse
        if size < LARGE_BODY_BYTES:
            parsed = parse(exchange, query, services.catalogue)
        else:
            parsed = await translate(size, self._parse_large, exchange, query)
        streams = self._observe(exchange)
        step = StepDispatch(services, parsed.source)
        connection: ClientConnection = scope["state"][CONNECTION_KEY]
        connection.on_half_closed = writer.probe
        with connection:
            if streams:
                await self._stream(exchange, step, parsed, writer)
            else:
                await self._respond(exchange, step, parsed, writer)

    def _parse_large(self, exchange: Exchange, query: bytes) -> ParsedRequest:
        """Do in the thread for large bodies whatever walks the body, down to the parts that a middleware reads."""
        parsed = self._skin.parse(exchange, query, self._services.catalogue)
        search_large(exchange)
        if self._services.middleware or parsed.plugins:
            _ = parsed.source.parsed
        return parsed

    def _observe(self, exchange: Exchange) -> bool:
        """Prepare what is observed of a request that was parsed; return whether its answer is streamed.

        A coroutine that kept the head would hold the prompt until its stream ends.
        """
        head = exchange.request.head
        assert head is not None
        exchange.outcome.labelling = self._services.categoriser.submit(head.messages, exchange.caller, head.provider)
        if head.tool_count:
            exchange.outcome.tool_calls = ToolCallCollector()
        if is_asked(exchange.request.headers):
            exchange.route.plans = []
        return head.stream

    async def _respond(
        self, exchange: Exchange, step: StepDispatch, parsed: ParsedRequest, writer: EventWriter
    ) -> None:
        if self._services.middleware or parsed.plugins:
            answer = await self._through_middleware(exchange, step, parsed)
            async with aclosing(_as_batches(answer, exchange)) as reads:
                batches = [batch async for found in reads for batch in found]
        else:
            committed = await step.attempt(exchange, parsed.source)
            batches = step.relay(exchange, committed).complete(parsed.dialect)
        if not batches[0].spliced and (failed := failure_of(batches)) is not None:
            raise failed
        headers, body = self._skin.response(exchange, parsed, batches)
        outcome = exchange.outcome
        outcome.first_byte = time.perf_counter()
        if outcome.dropped_parameters:
            headers = [*headers, *report_dropped(exchange)]
        await writer.respond(200, headers, body)

    async def _through_middleware(self, exchange: Exchange, step: StepDispatch, parsed: ParsedRequest) -> Answer:
        middleware = [*self._services.middleware, *parsed.plugins]
        exchange.outcome.middleware = [one.name for one in middleware]
        return await wrap(middleware, step)(exchange, parsed.source.parsed)

    async def _stream(self, exchange: Exchange, step: StepDispatch, parsed: ParsedRequest, writer: EventWriter) -> None:
        """Relay a stream. Raises ``ApiError`` only before the first byte is sent."""
        outcome = exchange.outcome
        headers, renderer = self._skin.stream(exchange, parsed)
        writer.keep_alive(headers)
        try:
            if self._services.middleware or parsed.plugins:
                answer = _as_batches(await self._through_middleware(exchange, step, parsed), exchange)
            else:
                relayed = step.relay(exchange, await step.attempt(exchange, parsed.source))
                if exchange.request.body_bytes >= MIN_RELEASED_BYTES:
                    release(exchange, parsed.source)
                answer = relayed.reads(parsed.dialect)
        except ApiError as error:
            if not writer.started:
                raise
            outcome.status, outcome.error_type, outcome.finish_reason = error.code, error.error_type, "error"
            await writer.write(renderer.fail(error), more=False)
            return
        writer.add_headers(report_dropped(exchange))
        async with aclosing(answer) as reads:
            async for batches in reads:
                content = renderer.render(batches)
                if renderer.over:
                    outcome.first_byte = outcome.first_byte or time.perf_counter()
                    await writer.write(content, more=False)
                elif content:
                    if outcome.first_byte is None:
                        outcome.first_byte = time.perf_counter()
                    await writer.write(content)
                # The next ones may come much later.
                del batches, content


async def admit(exchange: Exchange, services: Services, scope: Scope, receive: Receive) -> None:
    """Set the caller of a request and read its body.

    Raises ``ApiError`` as ``authenticate`` and ``read_body`` do, and while the log has no room for its record, or
    cannot be written although it is required.
    """
    request, admission = exchange.request, services.admission
    key = admission.known_key(request.headers) or await admission.authenticate(request.headers)
    exchange.caller = admission.caller(key, request.headers, scope)
    if not services.log.has_room:
        raise ApiError(
            "provider_overloaded", "The request log is full and must not lose requests; try again", retry_after=1
        )
    if not services.log.healthy:
        if services.log_required:
            message = "The request log cannot be written, and this router must not serve without it; try again"
            raise ApiError("provider_overloaded", message, retry_after=1)
        services.log.unlogged += 1
    headers, limit = request.headers, services.max_body_bytes
    body = take_arrived_body(scope["state"][CONNECTION_KEY].response, headers, limit)
    if body is None:
        body = await read_body(receive, headers, limit, services.arriving)
    exchange.request = request.with_body(body)


def settle(exchange: Exchange, services: Services) -> None:
    """Report the open calls and hand the exchange to the log.

    Never awaits, since it also runs while a request is cancelled.

    Tool calls are validated here, after the last byte was sent. That typically takes 10 µs and is bounded for any
    schema, so no record waits for its verdict. Of the requests without a known key, a few a second are recorded.
    """
    head, outcome = exchange.request.head, exchange.outcome
    if exchange.caller is None and outcome.error_type == "authentication" and not services.refusals.is_recorded():
        return
    if outcome.tool_calls is not None and outcome.finish_reason == "tool_calls" and head and outcome.endpoint:
        outcome.tool_call_verdict = services.tool_calls.check(head.fields["tools"], outcome.tool_calls)
    price_abandoned_call(exchange)
    services.outcomes.settle(exchange)
    services.records.add(exchange)


async def _as_batches(answer: Answer, exchange: Exchange) -> AsyncGenerator[list[Batch]]:
    async with aclosing(answer.batches()) as batches:
        async for events in batches:
            yield [EventBatch(events if not exchange.route.earlier_steps else _with_all_steps(events, exchange))]


def _with_all_steps(events: list[Event], exchange: Exchange) -> list[Event]:
    """Return ``events`` with the usage of all steps: middleware reads that of one step, the client pays for all."""
    earlier = [step.usage for step in exchange.route.earlier_steps if step.usage is not None]
    found = [
        msgspec.structs.replace(event, usage=reduce(Usage.plus, earlier, event.usage))
        if isinstance(event, Metered)
        else event
        for event in events
    ]
    total = exchange.outcome.usage
    if found and isinstance(found[-1], Ended) and total is not None:
        # The last step may not have reported any.
        found.insert(-1, Metered(total))
    return found


def report_dropped(exchange: Exchange) -> Headers:
    """Return the header that names the parameters which the provider that answers was not sent."""
    dropped = exchange.outcome.dropped_parameters
    if not dropped:
        return []
    names = ", ".join(dropped)
    if len(names) > MAX_REPORT_CHARACTERS or not (names.isascii() and names.isprintable()):
        # A client may name its fields as it likes; a header must not end early, nor be longer than clients take.
        names = ", ".join(quote(name) for name in dropped)[:MAX_REPORT_CHARACTERS]
    return [(DROPPED_HEADER, names.encode())]
