"""Serve non-streamed responses."""

from __future__ import annotations

import time
from collections.abc import Iterator

from starlette.types import Send

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from router_service.api.asgi import send_json
from router_service.api.metadata import metadata
from router_service.api.render import settle_usage
from router_service.api.services import Services
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision
from router_service.core.usage import Usage
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines
from router_service.execution.upcoming_decisions import UpcomingDecisions
from router_service.providers.adapter import ChatResponse
from router_service.providers.moderation import response_refusal
from router_service.providers.registry import ADAPTERS


async def respond_buffered(exchange: Exchange, services: Services, decisions: Iterator[Decision], send: Send) -> None:
    """Route the request; translate, price and send the response. Raises ``ApiError`` if every endpoint failed."""
    head = exchange.head
    assert head is not None
    # The next decision matters only if the request lists several models.
    ahead = UpcomingDecisions(decisions, exchange) if head.models else None

    async def call(endpoint: Endpoint, attempt: Attempt, timeout_s: float) -> tuple[ChatResponse, Endpoint, str]:
        adapter = ADAPTERS[endpoint.wire_format]
        request = adapter.request(head.fields, endpoint, services.credentials.api_key(endpoint), stream=False)
        sent = time.perf_counter()
        response = await services.upstream.send(request, timeout_s)
        attempt.status = response.status
        if response.status != 200:
            raise adapter.error(response.status, response.body, response.headers, endpoint)
        answer = adapter.response(response.body)
        refused = response_refusal(answer.choices) if ahead else None
        if ahead and refused and ahead.has_other_model():
            raise refused
        seconds = time.perf_counter() - sent
        attempt.ttft_us = int(seconds * 1e6)
        if answer.choices[0]["finish_reason"] == "error":
            # The response has status 200, but the reference's uptime counts it as a failure of the endpoint.
            attempt.error_type = "provider_unavailable"
        return answer, endpoint, attempt.model

    deadlines = Deadlines(exchange, services.timeouts, services.measured_deadlines)
    attempts = AttemptLoop(exchange, services.health, deadlines, services.outcomes, services.hedging)
    answer, endpoint, model = await attempts.run(ahead or decisions, call, _counted)
    exchange.complete = True
    exchange.model, exchange.endpoint, exchange.provider = model, endpoint.id, endpoint.provider
    exchange.wire_format = endpoint.wire_format
    exchange.upstream_id = answer.upstream_id
    exchange.finish_reason = answer.choices[0]["finish_reason"]
    exchange.native_finish_reason = answer.choices[0]["native_finish_reason"]
    if exchange.tool_calls is not None:
        for choice in answer.choices:
            exchange.tool_calls.add(choice["index"], choice["message"], complete=True)
    exchange.service_tier = answer.service_tier
    usage = settle_usage(exchange, answer.usage, endpoint)
    body = {
        "id": exchange.id,
        "object": "chat.completion",
        "created": int(exchange.started_at),
        "model": model,
        "provider": endpoint.provider_name,
        "system_fingerprint": answer.system_fingerprint,
        "service_tier": answer.service_tier,
        "choices": answer.choices,
        "usage": usage,
        **metadata(exchange, services.catalogue),
    }
    exchange.status = 200
    exchange.first_byte = time.perf_counter()
    exchange.output_bytes = await send_json(send, 200, body, exchange.id)


def _counted(late: tuple[ChatResponse, Endpoint, str]) -> Usage | None:
    """Return the usage of a response that arrived too late to be used."""
    return late[0].usage
