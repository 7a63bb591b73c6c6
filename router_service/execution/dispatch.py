"""Dispatch a generation request to providers: one path for streams and non-streaming responses.

An attempt is committed by its first content. Before it a failure falls over to the next endpoint and the client sees
nothing; after it the answer can only fail.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from router_service.core.errors import ApiError
from router_service.core.events import Event, Finished, Metered, PartBegan, PartDelta
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.parts import Refusal
from router_service.core.plan import Decision
from router_service.core.usage import Usage
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines, MeasuredDeadlines, Timeouts
from router_service.execution.event_reader import EventReader, failure_of
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.execution.upcoming_decisions import UpcomingDecisions
from router_service.health import Health
from router_service.providers.credentials import Credentials
from router_service.providers.wire_format import WireFormat
from router_service.upstream.transport import StreamResponse, Transport


class CommittedAttempt(NamedTuple):
    """Hold an attempt whose first content has arrived: ``first`` are the events up to it.

    ``response`` and ``reader`` are ``None`` for a non-streaming response, whose events are all in ``first``.
    """

    endpoint: Endpoint
    attempt: Attempt
    first: list[Event]
    dropped: tuple[str, ...] = ()
    response: StreamResponse | None = None
    reader: EventReader | None = None


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """Dispatch the requests of one process. ``upstream`` is set while the application runs."""

    health: Health
    outcomes: OutcomeReporter
    hedging: Hedging | None
    timeouts: Timeouts
    measured_deadlines: MeasuredDeadlines
    credentials: Credentials
    formats: Mapping[str, WireFormat]
    upstream: Transport = field(init=False)

    def deadlines(self, exchange: Exchange) -> Deadlines:
        """Return the deadlines of a request."""
        return Deadlines(exchange, self.timeouts, self.measured_deadlines)

    async def dispatch(
        self,
        exchange: Exchange,
        request: GenerationRequest,
        decisions: Iterator[Decision],
        deadlines: Deadlines,
    ) -> CommittedAttempt:
        """Return the first attempt that is committed. Raises ``ApiError`` if every endpoint failed."""
        head = exchange.head
        ahead = UpcomingDecisions(decisions, exchange) if head and head.models else None
        calls = _Calls(self, exchange, request, ahead)
        attempts = AttemptLoop(exchange, self.health, deadlines, self.outcomes, self.hedging)
        return await attempts.run(ahead or decisions, calls.call, discard)


class _Calls:
    """Make the calls of one request."""

    def __init__(
        self, dispatcher: Dispatcher, exchange: Exchange, request: GenerationRequest, ahead: UpcomingDecisions | None
    ) -> None:
        self._dispatcher = dispatcher
        self._exchange = exchange
        self._request = request
        self._ahead = ahead

    async def call(self, endpoint: Endpoint, attempt: Attempt, timeout_s: float) -> CommittedAttempt:
        dispatcher = self._dispatcher
        wire = dispatcher.formats[endpoint.wire_format]
        encoded = wire.encode(self._request, endpoint, self._exchange.id)
        request = await dispatcher.credentials.sign(encoded.request, endpoint)
        sent = time.perf_counter()
        if not self._request.stream:
            answer = await dispatcher.upstream.send(request, timeout_s)
            attempt.status = answer.status
            if answer.status != 200:
                raise wire.error(answer.status, answer.body, answer.headers, endpoint)
            events = wire.decode(answer.body, encoded.context)
            self._check(events)
            attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
            return CommittedAttempt(endpoint, attempt, events, encoded.dropped)
        response = await dispatcher.upstream.stream(request, timeout_s)
        try:
            attempt.status = response.status
            if response.status != 200:
                raise wire.error(response.status, await response.read(), response.headers, endpoint)
            reader = EventReader(response, wire.decoder(encoded.context))
            first = await reader.read_until_content(timeout_s - (time.perf_counter() - sent))
            self._check(first)
        except BaseException:
            response.close()
            raise
        attempt.ttft_us = int((time.perf_counter() - sent) * 1e6)
        return CommittedAttempt(endpoint, attempt, first, encoded.dropped, response, reader)

    def _check(self, events: Sequence[Event]) -> None:
        """Raise the provider's failure, or its refusal where another model may answer."""
        has_content = any(isinstance(event, PartDelta) for event in events)
        failed = failure_of(events)
        if failed is not None and (not self._request.stream or not has_content):
            raise failed
        if self._ahead is not None and (refused := refusal_of(events)) and self._ahead.has_other_model():
            raise refused


def refusal_of(events: Sequence[Event]) -> ApiError | None:
    """Return the error for events that refuse before any other content, else ``None``."""
    refused: str | None = None
    refusals: set[tuple[int, int]] = set()
    for event in events:
        match event:
            case PartBegan(part=Refusal()):
                refusals.add((event.choice, event.index))
                refused = refused or "refusal"
            case PartBegan() if _says_something(event):
                return None
            case PartDelta() if (event.choice, event.index) not in refusals:
                return None
            case Finished(reason="content_filter"):
                refused = event.native or "content_filter"
    if refused is None:
        return None
    kind = "content_policy_violation" if refused in ("content_filter", "sensitive") else "refusal"
    return ApiError(kind, "The model refused to answer", metadata={"provider_code": refused})


def _says_something(event: PartBegan) -> bool:
    part = event.part
    return not hasattr(part, "text") or bool(part.text)


def discard(late: CommittedAttempt) -> Usage | None:
    """Close a response that came too late to be used; return the usage that it has reported so far."""
    if late.response is not None:
        late.response.close()
    return next((event.usage for event in reversed(late.first) if isinstance(event, Metered)), None)
