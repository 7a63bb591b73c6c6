"""Relay the answer of a committed attempt in batches, and keep what they say of the exchange."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from data.record.attempt import CLIENT_DEADLINE
from router_service.accounting.cost import cost_of
from router_service.core.answer import Batch, EventBatch, SplicedResponse
from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, Metered, PartBegan, PartDelta
from router_service.core.exchange import Exchange
from router_service.core.parts import ToolCall
from router_service.core.usage import Usage
from router_service.execution.deadlines import Deadlines, TotalTimeoutExpired
from router_service.execution.dispatch import CommittedAttempt
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed


class RelayedAnswer:
    """Relay one answer. Close ``batches`` on every path, because that cancels the provider's work.

    ``failed`` is the error of an answer that broke.
    """

    __slots__ = ("_committed", "_deadlines", "_exchange", "_priced", "_read_at", "_usage", "failed")

    def __init__(self, exchange: Exchange, committed: CommittedAttempt, deadlines: Deadlines) -> None:
        self._exchange = exchange
        self._committed = committed
        self._deadlines = deadlines
        self._usage: Usage | None = None
        self._read_at = 0.0
        self._priced = False
        self.failed: ApiError | None = None
        endpoint, attempt = committed.endpoint, committed.attempt
        exchange.model, exchange.endpoint, exchange.provider = attempt.model, endpoint.id, endpoint.provider
        exchange.wire_format, exchange.provider_name = endpoint.wire_format, endpoint.provider_name
        exchange.status = 200

    async def batches(self) -> AsyncGenerator[list[Event]]:
        """Yield the events; the last is ``Ended`` or ``Failed``. Raises nothing but cancellation."""
        async with aclosing(self.reads(None)) as reads:
            async for found in reads:
                yield [event for batch in found for event in batch.events()]

    def complete(self, dialect: str | None) -> list[Batch]:
        """Return the batches of a non-streaming response, which has ended; see ``reads``."""
        return self._kept(self._committed.first, dialect)

    async def reads(self, dialect: str | None) -> AsyncGenerator[list[Batch]]:
        """Yield the batches of one read each. Those of ``dialect`` may be spliced, all others are batches of events.

        The last event of the last batch is ``Ended`` or ``Failed``. Raises nothing but cancellation.
        """
        committed, exchange, attempt = self._committed, self._exchange, self._committed.attempt
        begun = self._read_at = time.perf_counter()
        before_us = attempt.duration_us or 0
        watch, stalls_for_client = self._watch()
        reader = committed.reader
        try:
            try:
                yield self._kept(committed.first, dialect)
                while reader is not None and not reader.over:
                    waited = time.perf_counter()
                    found = await reader.read()
                    self._read_at = time.perf_counter()
                    exchange.upstream_s += self._read_at - waited
                    yield self._kept(found, dialect)
            except ApiError as error:
                client_deadline = stalls_for_client and isinstance(error, DeadlineMissed)
                exchange.deadline_expired = client_deadline or isinstance(error, TotalTimeoutExpired)
                yield self._kept([EventBatch([Failed(error)])], dialect)
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
            if not self._priced:
                # The client has left: what the provider has reported so far is billed.
                self._usage = (reader.usage_so_far() if reader is not None else None) or self._usage
                self._price()

    def _watch(self) -> tuple[StallWatch | None, bool]:
        reader, response = self._committed.reader, self._committed.response
        if reader is None or response is None:
            return None, False
        deadlines, stall = self._deadlines, self._deadlines.stall()
        reader.watch = StallWatch(response.abort, stall.seconds, deadlines.remaining_s, deadlines.expiry_error)
        return reader.watch, stall.from_client

    def _kept(self, batches: list[Batch], dialect: str | None) -> list[Batch]:
        """Keep what ``batches`` say of the exchange; return them, as events where they are not spliced."""
        for place, batch in enumerate(batches):
            if batch.is_plain and batch.dialect == dialect:
                continue
            if batch.dialect is None or batch.dialect != dialect:
                events = batch.events()
                if not isinstance(batch, EventBatch):
                    batches[place] = EventBatch(events)
                for event in events:
                    self._note(event)
            else:
                self._keep_spliced(batch)
        return batches

    def _keep_spliced(self, batch: Batch) -> None:
        exchange, calls = self._exchange, self._exchange.tool_calls
        began = batch.began
        if began is not None:
            exchange.upstream_id = began.upstream_id or exchange.upstream_id
            exchange.service_tier = began.service_tier or exchange.service_tier
        for choice in batch.spliced:
            if choice.finish_reason is not None:
                self._finish(choice.index, choice.finish_reason, choice.native_finish_reason)
            if calls is not None and batch.has_calls:
                calls.add(choice.index, choice.delta, complete=self._committed.reader is None)
        if type(batch) is SplicedResponse:
            if batch.metered is not None:
                self._usage = batch.metered.usage
                exchange.service_tier = batch.metered.service_tier or exchange.service_tier
            exchange.complete = True
            self._price()

    def _note(self, event: Event) -> None:
        exchange = self._exchange
        match event:
            case PartBegan(part=ToolCall(kind="function") as call) if exchange.tool_calls is not None:
                exchange.tool_calls.begin(event.choice, event.index, call.name, call.arguments)
            case PartDelta() if exchange.tool_calls is not None:
                exchange.tool_calls.extend(event.choice, event.index, event.text)
            case Began():
                exchange.upstream_id = event.upstream_id or exchange.upstream_id
                exchange.service_tier = event.service_tier or exchange.service_tier
            case Metered():
                self._usage = event.usage
                exchange.service_tier = event.service_tier or exchange.service_tier
            case Finished():
                self._finish(event.choice, event.reason, event.native)
            case Failed():
                self.failed = event.error
                self._committed.attempt.error_type = event.error.error_type
                exchange.error_type, exchange.finish_reason = event.error.error_type, "error"
                self._price()
            case Ended():
                exchange.complete = True
                self._price()

    def _finish(self, choice: int, reason: str, native: str | None) -> None:
        exchange = self._exchange
        # The record has the reason of the first choice.
        if choice == 0 or exchange.finish_reason is None:
            exchange.finish_reason, exchange.native_finish_reason = reason, native
        if reason == "error":
            # The response has status 200, but the reference's uptime counts it as a failure.
            self._committed.attempt.error_type = "provider_unavailable"

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
        self._priced = True
        exchange, usage = self._exchange, self._usage
        cost = cost_of(usage or Usage(), self._committed.endpoint.price_served(exchange.service_tier))
        # Steps add up: the client pays for each dispatch that middleware has asked for.
        exchange.usage = usage if exchange.earlier_usage is None else exchange.earlier_usage.plus(usage or Usage())
        exchange.cost = cost if exchange.earlier_cost is None else exchange.earlier_cost.plus(cost)
