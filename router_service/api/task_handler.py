"""Serve one client-facing API of a task other than chat: one request, one call that answers, one response."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import Receive, Scope

from data.catalogue.types import Task
from router_service.api.decisions import decisions_of
from router_service.api.event_writer import EventWriter
from router_service.api.handler import RequestHandler, admit, report_dropped
from router_service.api.services import Services
from router_service.api.skins.skin import JSON_HEADERS, TaskSkin
from router_service.core.client_connection import CONNECTION_KEY, ClientConnection
from router_service.core.events import Completed
from router_service.core.exchange import Exchange
from router_service.core.large_bodies import translate
from router_service.execution.relayed_answer import RelayedAnswer
from router_service.execution.task_dispatch import dispatch_task


class TaskHandler(RequestHandler):
    """Serve the requests of one skin. Middleware, which acts on generation requests, is passed by."""

    def __init__(self, services: Services, skin: TaskSkin[Any, Any], task: Task) -> None:
        super().__init__(services, skin, task)
        self._skin = skin

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, writer: EventWriter) -> None:
        services = self._services
        await admit(exchange, services, scope, receive)
        asked = await translate(exchange.request.body_bytes, self._skin.parse, exchange)
        connection: ClientConnection = scope["state"][CONNECTION_KEY]
        connection.on_half_closed = writer.probe
        with connection:
            decisions = decisions_of(services, exchange)
            committed = await dispatch_task(services.dispatcher, exchange, asked, decisions)
            exchange.outcome.dropped_parameters = committed.dropped
            batches = RelayedAnswer(exchange, committed).complete(None)
            completed = next(e for batch in batches for e in batch.events() if isinstance(e, Completed))
            body = self._skin.response(exchange, asked, completed.result)
            exchange.outcome.first_byte = time.perf_counter()
            await writer.respond(200, [*JSON_HEADERS, *report_dropped(exchange)], body)
