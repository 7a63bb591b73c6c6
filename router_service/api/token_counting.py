"""Serve ``POST /v1/messages/count_tokens``: an estimate, marked as one by a header. Nothing is billed or logged."""

from __future__ import annotations

import msgspec
from starlette.types import Receive, Scope, Send

from router_service.api.asgi import read_body
from router_service.api.event_writer import EventWriter
from router_service.api.response_ids import header_lines
from router_service.api.services import Services
from router_service.api.skins.messages.count_tokens import ESTIMATE_HEADERS, estimate_input_tokens
from router_service.api.skins.messages.endpoint import MessagesEndpoint
from router_service.api.skins.skin import JSON_HEADERS
from router_service.core.client_connection import CONNECTION_KEY, ClientDisconnected
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.large_bodies import translate
from router_service.core.request import receive_request


class TokenCounting:
    """Estimate the prompt tokens of a request, as an ASGI application."""

    def __init__(self, services: Services, endpoint: MessagesEndpoint) -> None:
        self._services = services
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (part of ASGI)
        services = self._services
        request = receive_request(self._endpoint.name, dict(scope["headers"]))
        exchange = Exchange(request)
        common = header_lines(request, services.cross_origin)
        writer = EventWriter(scope["state"][CONNECTION_KEY].response, b"", services.keepalive_interval_s, common)
        try:
            await services.admission.authenticate(request.headers)
            limit = services.max_body_bytes
            body = await read_body(receive, request.headers, limit, services.arriving)
            exchange.request = request.with_body(body)
            query = scope.get("query_string", b"")
            parsed = await translate(len(body), self._endpoint.parse, exchange, query, services.catalogue)
            head = exchange.request.head
            model = (head and head.model) or ""
            if services.catalogue.resolve(model) is None:
                raise ApiError(
                    "not_found", f"model: {model} is no model of this installation; GET /v1/models lists them"
                )
            found = msgspec.json.encode({"input_tokens": estimate_input_tokens(parsed.source.parsed, model)})
        except ClientDisconnected:
            return
        except ApiError as error:
            refusal = self._endpoint.error(error, exchange)
            await writer.respond(refusal.status, refusal.headers, refusal.body)
            return
        await writer.respond(200, [*JSON_HEADERS, *ESTIMATE_HEADERS], found)
