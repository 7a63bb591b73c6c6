"""Relay the answer of a committed attempt as batches of events, and keep what they say of the exchange."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from data.record.attempt import CLIENT_DEADLINE
from router_service.accounting.cost import cost_of
from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, Metered
from router_service.core.exchange import Exchange
from router_service.core.usage import Usage
from router_service.execution.deadlines import Deadlines, TotalTimeoutExpired
from router_service.execution.dispatch import CommittedAttempt
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed


class RelayedAnswer:
    """Relay one answer. Close ``batches`` on every path, because that cancels the provider's work.

    ``failed`` is the error of an answer that broke.
    """

    def __init__(self, exchange: Exchange, committed: CommittedAttempt, deadlines: Deadlines) -> None:
        self._exchange = exchange
        self._committed = committed
        self._deadlines = deadlines
        self._usage: Usage | None = None
        self._read_at = 0.0
        self.failed: ApiError | None = None
        endpoint, attempt = committed.endpoint, committed.attempt
        exchange.model, exchange.endpoint, exchange.provider = attempt.model, endpoint.id, endpoint.provider
        exchange.wire_format = endpoint.wire_format
        exchange.status = 200

    async def batches(self) -> AsyncGenerator[list[Event]]:
        """Yield the events; the last is ``Ended`` or ``Failed``. Raises nothing but cancellation."""
        committed, exchange, attempt = self._committed, self._exchange, self._committed.attempt
        begun = self._read_at = time.perf_counter()
        before_us = attempt.duration_us or 0
        watch, stalls_for_client = self._watch()
        try:
            try:
                yield self._kept(committed.first)
                while committed.reader is not None and not committed.reader.over:
                    waited = time.perf_counter()
                    events = await committed.reader.read()
                    self._read_at = time.perf_counter()
                    exchange.upstream_s += self._read_at - waited
                    yield self._kept(events)
            except ApiError as error:
                client_deadline = stalls_for_client and isinstance(error, DeadlineMissed)
                exchange.deadline_expired = client_deadline or isinstance(error, TotalTimeoutExpired)
                yield self._kept([Failed(error)])
                if client_deadline:
                    attempt.error_type = CLIENT_DEADLINE
        finally:
            if watch is not None:
                watch.stop()
            attempt.duration_us = self._duration_us(begun, before_us)
            if committed.response is not None:
                if exchange.complete:
                    committed.response.finish()
                committed.response.close()
            self._price()

    def _watch(self) -> tuple[StallWatch | None, bool]:
        reader, response = self._committed.reader, self._committed.response
        if reader is None or response is None:
            return None, False
        deadlines, stall = self._deadlines, self._deadlines.stall()
        reader.watch = StallWatch(response.abort, stall.seconds, deadlines.remaining_s, deadlines.expiry_error())
        return reader.watch, stall.from_client

    def _kept(self, events: list[Event]) -> list[Event]:
        """Keep what ``events`` say of the exchange, and return them up to the end of the answer."""
        exchange = self._exchange
        for place, event in enumerate(events):
            match event:
                case Began():
                    exchange.upstream_id = event.upstream_id or exchange.upstream_id
                    exchange.service_tier = event.service_tier or exchange.service_tier
                case Metered():
                    self._usage = event.usage
                case Finished():
                    exchange.finish_reason = event.reason
                    exchange.native_finish_reason = event.native or exchange.native_finish_reason
                    if event.reason == "error":
                        # The response has status 200, but the reference's uptime counts it as a failure.
                        self._committed.attempt.error_type = "provider_unavailable"
                case Failed():
                    self.failed = event.error
                    self._committed.attempt.error_type = event.error.error_type
                    exchange.error_type, exchange.finish_reason = event.error.error_type, "error"
                    self._price()
                    return events[: place + 1]
                case Ended():
                    exchange.complete = True
                    self._price()
                    return events[: place + 1]
        return events

    def _duration_us(self, begun: float, before_us: int) -> int | None:
        """Return the duration until the provider's last byte in microseconds, without a slow client's time.

        ``None`` where the provider may have had to wait for the client.
        """
        response, attempt = self._committed.response, self._committed.attempt
        if response is None:
            return attempt.duration_us
        if not self._exchange.complete:
            return before_us + int((time.perf_counter() - begun) * 1e6)
        ended = response.last_byte_at(self._read_at)
        if ended is None:
            return None
        # The entire response may have arrived with the first content.
        return attempt.ttft_us if ended <= begun else before_us + int((ended - begun) * 1e6)

    def _price(self) -> None:
        """Price the usage by the tier that served. Nothing is billed where the provider reports none."""
        exchange, usage = self._exchange, self._usage or Usage()
        cost = cost_of(usage, self._committed.endpoint.price_served(exchange.service_tier))
        # Steps add up: the client pays for each dispatch that middleware has asked for.
        exchange.usage = usage if exchange.earlier_usage is None else exchange.earlier_usage.plus(usage)
        exchange.cost = cost if exchange.earlier_cost is None else exchange.earlier_cost.plus(cost)
