"""Dispatch a request for another task than chat: one call, one body, and the same order of endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from router_service.core.answer import EventBatch
from router_service.core.embeddings import EmbeddingsRequest
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.large_bodies import translate
from router_service.core.plan import Decision
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines
from router_service.execution.dispatch import CommittedAttempt, Dispatcher, discard
from router_service.execution.inline_media import RequestMedia
from router_service.providers.task_format import EncodedTask, TaskFormat, TaskRequest


async def dispatch_task(
    dispatcher: Dispatcher, exchange: Exchange, asked: TaskRequest, decisions: Iterator[Decision]
) -> CommittedAttempt:
    """Return the first attempt that answers ``asked``.

    No request is hedged: these tasks have no first token whose time could be measured. Raises ``ApiError`` if every
    endpoint failed.
    """
    deadlines = Deadlines(exchange, dispatcher.timeouts, dispatcher.measured_deadlines)
    task = exchange.request.task
    media = RequestMedia(dispatcher.fetcher)

    async def call(endpoint: Endpoint, attempt: Attempt, timeout_s: float) -> CommittedAttempt:
        wire = dispatcher.task_formats[endpoint.wire_format, task]
        alone = dispatcher.data_alone.get(endpoint.wire_format)
        sent = asked
        if alone is not None and isinstance(asked, EmbeddingsRequest):
            sent = await media.inlined_inputs(asked, lambda part: alone(part, endpoint))
        encoded = await translate(exchange.request.body_bytes, wire.encode, sent, endpoint)
        return await _call(dispatcher, wire, sent, encoded, endpoint, attempt, timeout_s, deadlines)

    attempts = AttemptLoop(exchange, dispatcher.health, deadlines, dispatcher.outcomes)
    return await attempts.run(decisions, call, discard)


async def _call(
    dispatcher: Dispatcher,
    wire: TaskFormat[Any],
    asked: TaskRequest,
    encoded: EncodedTask,
    endpoint: Endpoint,
    attempt: Attempt,
    timeout_s: float,
    deadlines: Deadlines,
) -> CommittedAttempt:
    """Call ``endpoint``, with the next key where the provider refuses one of several."""
    credentials = dispatcher.credentials
    ends_at = time.perf_counter() + timeout_s
    while True:
        request = await credentials.sign(encoded.request, endpoint)
        redactor = credentials.redactor(endpoint)
        sent = time.perf_counter()
        try:
            answer = await dispatcher.upstream.send(request, timeout_s)
            attempt.status = answer.status
            body = redactor.redact_bytes(answer.body)
            if answer.status != 200:
                raise wire.error(answer.status, body, answer.headers, endpoint)
            events = wire.decode(body, asked)
        except ApiError as error:
            redactor.redact_error(error)
            status = error.upstream_status or error.code
            if not credentials.pass_on(request, endpoint, status, error.retry_after):
                raise
            timeout_s = ends_at - time.perf_counter()
            if timeout_s <= 0:
                raise
            continue
        attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
        first = EventBatch(events, has_content=True)
        return CommittedAttempt(endpoint, attempt, deadlines, [first], encoded.dropped)
