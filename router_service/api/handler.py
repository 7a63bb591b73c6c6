"""Serve one client-facing API: authenticate, parse, dispatch, render and settle. The same path for every skin."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from router_service.api.asgi import ClientDisconnected, DisconnectWatches, WhileConnected
from router_service.api.chat import CLIENT_CLOSED, admit, settle
from router_service.api.event_writer import EventWriter
from router_service.api.services import Services
from router_service.api.skins.skin import Skin
from router_service.api.step_dispatch import StepDispatch
from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Failed, Folding, Result, fold
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.parts import ToolCall
from router_service.core.tool_calls import ToolCallCollector
from router_service.middleware.middleware import Answer, Next, wrap
from router_service.planning.availability import NoEndpoints

logger = logging.getLogger(__name__)


class GenerationHandler:
    """Serve the generation requests of one skin, as an ASGI application."""

    def __init__(self, services: Services, skin: Skin) -> None:
        self._services = services
        self._skin = skin
        self._watches = DisconnectWatches()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(b"", dict(scope["headers"]))
        exchange.skin = self._skin.name
        writer = EventWriter(send, self._skin.keepalive, self._services.keepalive_interval_s)
        try:
            await self._serve(exchange, scope, receive, writer)
        except ApiError as error:
            exchange.status, exchange.error_type = error.code, error.error_type
            if isinstance(error, NoEndpoints):
                exchange.rejected_plan = error.plan
            await self._refuse(exchange, error, writer)
        except ClientDisconnected:
            exchange.cancelled, exchange.status = True, CLIENT_CLOSED
            exchange.ended_by_client = True
        except asyncio.CancelledError:
            exchange.cancelled, exchange.status = True, CLIENT_CLOSED
            exchange.ended_by_client = False
            raise
        except Exception:
            logger.exception("request %s failed", exchange.id)
            fault = ApiError("server", "Internal error; the router's own log has it under the generation id")
            exchange.status, exchange.error_type = fault.code, fault.error_type
            await self._refuse(exchange, fault, writer)
        finally:
            writer.stop()
            exchange.output_bytes = writer.sent_bytes
            settle(exchange, self._services)

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, writer: EventWriter) -> None:
        services = self._services
        key = await admit(exchange, services, scope, receive)
        query = scope.get("query_string", b"")
        parsed = self._skin.parse(exchange.headers, query, exchange.body, services.catalogue)
        head = exchange.head = parsed.head
        exchange.client_model = parsed.model
        if services.middleware:
            exchange.middleware = [one.name for one in services.middleware]
        exchange.labelling = services.categoriser.submit(head.messages)
        if head.tool_count:
            exchange.tool_calls = ToolCallCollector()
        dispatch = wrap(services.middleware, StepDispatch(services, parsed.generation, key))
        with WhileConnected(self._watches, receive):
            if head.stream:
                await self._stream(exchange, dispatch, parsed.generation, writer)
            else:
                await self._respond(exchange, dispatch, parsed.generation, writer)

    async def _respond(
        self, exchange: Exchange, dispatch: Next, generation: GenerationRequest, writer: EventWriter
    ) -> None:
        result = fold(await _collected(await dispatch(exchange, generation)))
        if result.error is not None:
            raise result.error
        _collect_tool_calls(exchange, result)
        headers, body = self._skin.response(exchange, result)
        exchange.first_byte = time.perf_counter()
        await writer.respond(200, headers, body, exchange.id)

    async def _stream(
        self, exchange: Exchange, dispatch: Next, generation: GenerationRequest, writer: EventWriter
    ) -> None:
        """Relay a stream. Raises ``ApiError`` only before the first byte is sent."""
        headers, renderer = self._skin.stream(exchange)
        writer.keep_alive(headers, exchange.id)
        try:
            answer = await dispatch(exchange, generation)
        except ApiError as error:
            if not writer.started:
                raise
            exchange.status, exchange.error_type, exchange.finish_reason = error.code, error.error_type, "error"
            await writer.write(renderer.fail(error), more=False)
            return
        # Only the calls are judged, but the grammar of all events is needed to find them.
        folding = Folding() if exchange.tool_calls is not None else None
        async with aclosing(answer.batches()) as batches:
            async for events in batches:
                if folding is not None:
                    for event in events:
                        folding.add(event)
                    if folding.over:
                        _collect_tool_calls(exchange, folding.result())
                over = bool(events) and isinstance(events[-1], Ended | Failed)
                if content := renderer.feed(events):
                    if exchange.first_byte is None:
                        exchange.first_byte = time.perf_counter()
                    await writer.write(content, more=not over)
                elif over:
                    await writer.write(b"", more=False)

    async def _refuse(self, exchange: Exchange, error: ApiError, writer: EventWriter) -> None:
        """Send the error of a request that has no answer, unless its answer has begun."""
        if writer.started:
            return
        refusal = self._skin.error(error, exchange.id)
        await writer.respond(refusal.status, refusal.headers, refusal.body, exchange.id)


def _collect_tool_calls(exchange: Exchange, result: Result) -> None:
    if exchange.tool_calls is None:
        return
    for number, choice in enumerate(result.choices):
        calls = [part for part in choice.parts if isinstance(part, ToolCall) and part.kind == "function"]
        found = [{"function": {"name": call.name, "arguments": call.arguments}} for call in calls]
        exchange.tool_calls.add(number, {"tool_calls": found}, complete=True)


async def _collected(answer: Answer) -> list[Event]:
    async with aclosing(answer.batches()) as batches:
        return [event async for events in batches for event in events]
