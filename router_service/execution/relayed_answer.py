"""Relay the answer of a committed attempt in batches, and keep what they say of the exchange."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import reduce

from data.record.attempt import CLIENT_DEADLINE
from router_service.accounting.cancelled import cancelled_usage
from router_service.accounting.cost import cost_of, waived_cost
from router_service.core.answer import Batch, EventBatch, SplicedResponse, TextBatch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Completed, Ended, Event, Failed, Finished, Metered, PartBegan, PartDelta
from router_service.core.exchange import Exchange
from router_service.core.parts import ToolCall
from router_service.core.route_trace import RouteStep
from router_service.core.usage import CostBreakdown, Usage
from router_service.execution.deadlines import TotalTimeoutExpired
from router_service.execution.dispatch import CommittedAttempt
from router_service.providers.stream_redaction import StreamRedactor
from router_service.upstream.stall import StallWatch
from router_service.upstream.transport import DeadlineMissed

# A response without output that ended for one of these reasons is not charged for, as in the reference.
_WAIVED = (None, "error")
_EMPTY_DELTA = len(b'{"content":""}')


class RelayedAnswer:
    """Relay one answer. Close ``batches`` on every path, because that cancels the provider's work.

    ``failed`` is the error of an answer that broke.
    """

    __slots__ = (
        "_committed", "_exchange", "_has_result", "_outcome", "_priced", "_read_at", "_received_bytes", "_redactor",
        "_route", "_step", "_usage", "failed",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, committed: CommittedAttempt) -> None:
        self._exchange = exchange
        outcome = self._outcome = exchange.outcome
        self._route = exchange.route
        self._step = exchange.route.step
        self._committed = committed
        self._usage: Usage | None = None
        self._read_at = 0.0
        self._received_bytes = 0
        self._redactor: StreamRedactor | None = None
        self._priced = False
        self._has_result = False
        self.failed: ApiError | None = None
        endpoint, attempt = committed.endpoint, committed.attempt
        outcome.model, outcome.endpoint, outcome.provider = attempt.model, endpoint.id, endpoint.provider
        outcome.wire_format, outcome.provider_name = endpoint.wire_format, endpoint.provider_name
        outcome.status = 200

    async def batches(self) -> AsyncGenerator[list[Event]]:
        """Yield the events; the last is ``Ended`` or ``Failed``. Raises nothing but cancellation."""
        async with aclosing(self.reads(None)) as reads:
            async for found in reads:
                yield [event for batch in found for event in batch.events()]

    def complete(self, dialect: str | None) -> list[Batch]:
        """Return the batches of a non-streaming response, which has ended; see ``reads``."""
        found = self._take_first()
        first = found[0]
        if type(first) is SplicedResponse and first.dialect == dialect:
            self._keep_response(first)
            return found
        return self._kept(found, dialect)

    async def reads(self, dialect: str | None) -> AsyncGenerator[list[Batch]]:
        """Yield the batches of one read each. Those of ``dialect`` may be spliced, all others are batches of events.

        The last event of the last batch is ``Ended`` or ``Failed``. Raises nothing but cancellation.
        """
        committed, outcome, attempt = self._committed, self._outcome, self._committed.attempt
        begun = self._read_at = time.perf_counter()
        before_us = attempt.duration_us or 0
        watch, stalls_for_client = self._watch()
        reader = committed.reader
        if reader is not None and committed.redactor.written:
            self._redactor = StreamRedactor(committed.redactor, dialect)
        try:
            try:
                yield self._kept(self._take_first(), dialect)
                while reader is not None and not reader.over:
                    waited = time.perf_counter()
                    found = await reader.read()
                    self._read_at = time.perf_counter()
                    self._route.upstream_s += self._read_at - waited
                    yield self._kept(found, dialect)
                    # The next ones may come much later.
                    del found
            except ApiError as error:
                client_deadline = stalls_for_client and isinstance(error, DeadlineMissed)
                outcome.deadline_expired = client_deadline or isinstance(error, TotalTimeoutExpired)
                yield self._kept([EventBatch([Failed(error)])], dialect)
                if client_deadline:
                    attempt.error_type = CLIENT_DEADLINE
        finally:
            if watch is not None:
                watch.stop()
            attempt.duration_us = self._duration_us(begun, before_us)
            if committed.response is not None:
                if outcome.complete:
                    committed.response.finish()
                committed.response.close()
            if not self._priced:
                self._usage = (reader.usage_so_far() if reader is not None else None) or self._usage
                self._price_cancelled()

    def _take_first(self) -> list[Batch]:
        """Return the batches of the commitment, and keep them no longer."""
        found, self._committed.first = self._committed.first, []
        return found

    def _watch(self) -> tuple[StallWatch | None, bool]:
        reader, response = self._committed.reader, self._committed.response
        if reader is None or response is None:
            return None, False
        deadlines = self._committed.deadlines
        stall = deadlines.stall()
        reader.watch = StallWatch(response, stall.seconds, deadlines.remaining_s, deadlines)
        return reader.watch, stall.from_client

    def _kept(self, batches: list[Batch], dialect: str | None) -> list[Batch]:
        """Keep what ``batches`` say of the exchange; return them, as events where they are not spliced.

        The secrets of the provider's account are removed from a stream here; other answers come without them.
        """
        if self._redactor is not None:
            batches = self._redactor.take(batches)
        for place, batch in enumerate(batches):
            if batch.is_plain and batch.dialect == dialect:
                self._received_bytes += len(batch.text) if type(batch) is TextBatch else _text_bytes(batch)
                continue
            if batch.dialect is None or batch.dialect != dialect:
                events = batch.events()
                if not isinstance(batch, EventBatch):
                    batches[place] = EventBatch(events)
                for event in events:
                    self._note(event)
            else:
                self._received_bytes += _text_bytes(batch)
                self._keep_spliced(batch)
        return batches

    def _keep_spliced(self, batch: Batch) -> None:
        if type(batch) is SplicedResponse:
            self._keep_response(batch)
            return
        if batch.began is not None:
            self._begin(batch.began)
        calls = self._outcome.tool_calls
        for choice in batch.spliced:
            if choice.finish_reason is not None:
                self._finish(choice.index, choice.finish_reason, choice.native_finish_reason)
            if calls is not None and batch.has_calls:
                calls.add(choice.index, choice.delta, complete=False)

    def _keep_response(self, response: SplicedResponse) -> None:
        outcome, began, metered = self._outcome, response.began, response.metered
        outcome.upstream_id = began.upstream_id or outcome.upstream_id
        outcome.service_tier = began.service_tier or outcome.service_tier
        for choice in response.spliced:
            if choice.finish_reason is not None:
                self._finish(choice.index, choice.finish_reason, choice.native_finish_reason)
            if outcome.tool_calls is not None and response.has_calls:
                outcome.tool_calls.add(choice.index, choice.delta, complete=True)
        if metered is not None:
            self._meter(metered)
        outcome.complete = True
        self._price(ended=True)

    def _note(self, event: Event) -> None:
        outcome = self._outcome
        match event:
            case PartDelta() if event.text and outcome.tool_calls is None:
                self._received_bytes += len(event.text)
            case PartBegan(part=ToolCall(kind="function") as call) if outcome.tool_calls is not None:
                outcome.tool_calls.begin(event.choice, event.index, call.name, call.arguments)
            case PartDelta() if outcome.tool_calls is not None:
                self._received_bytes += len(event.text or "")
                outcome.tool_calls.extend(event.choice, event.index, event.text)
            case Completed():
                self._has_result = True
                outcome.upstream_id = event.upstream_id
            case Began():
                self._begin(event)
            case Metered():
                self._meter(event)
            case Finished():
                self._finish(event.choice, event.reason, event.native)
            case Failed():
                self.failed = event.error
                self._committed.attempt.error_type = event.error.error_type
                outcome.error_type, outcome.finish_reason = event.error.error_type, "error"
                self._committed.redactor.redact_error(event.error)
                self._price(ended=True)
            case Ended():
                outcome.complete = True
                self._price(ended=True)

    def _begin(self, began: Began) -> None:
        outcome = self._outcome
        outcome.upstream_id = began.upstream_id or outcome.upstream_id
        outcome.service_tier = began.service_tier or outcome.service_tier

    def _meter(self, metered: Metered) -> None:
        self._usage = metered.usage
        self._outcome.service_tier = metered.service_tier or self._outcome.service_tier

    def _finish(self, choice: int, reason: str, native: str | None) -> None:
        outcome = self._outcome
        # The record has the reason of the first choice.
        if choice == 0 or outcome.finish_reason is None:
            outcome.finish_reason, outcome.native_finish_reason = reason, native
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
        if not self._outcome.complete:
            return before_us + int((time.perf_counter() - begun) * 1e6)
        ended = response.last_byte_at(self._read_at)
        if ended is None:
            return None
        # The entire response may have arrived with the first content.
        return attempt.ttft_us if ended <= begun else before_us + int((ended - begun) * 1e6)

    def _price_cancelled(self) -> None:
        """Price a response that nobody reads to its end, by what its provider does then."""
        endpoint, outcome = self._committed.endpoint, self._outcome
        usage, outcome.cancellation = cancelled_usage(self._exchange, endpoint, self._usage, self._received_bytes)
        self._priced = True
        # The step keeps the provider's own counts, from which routing learns.
        self._step.usage = self._usage
        self._step.cost = outcome.cost = cost_of(usage, endpoint.price_served(outcome.service_tier))
        outcome.usage = usage
        if earlier := self._route.earlier_steps:
            outcome.usage, outcome.cost = _total([*earlier, RouteStep(usage=usage, cost=self._step.cost)])

    def _price(self, *, ended: bool = False) -> None:
        """Price the usage by the tier that served. Nothing is billed where the provider reports none.

        Nor is a response that has ``ended`` without output, for no reason or with an error.
        """
        self._priced = True
        step, outcome = self._step, self._outcome
        step.usage = self._usage
        usage, price = step.usage or Usage(), self._committed.endpoint.price_served(outcome.service_tier)
        empty = not usage.completion_tokens and not self._has_result
        waived = ended and empty and outcome.finish_reason in _WAIVED
        step.cost = waived_cost(usage, price) if waived else cost_of(usage, price)
        outcome.usage, outcome.cost = step.usage, step.cost
        if self._route.earlier_steps:
            # Steps add up: the client pays for each dispatch that middleware has asked for.
            outcome.usage, outcome.cost = _total([*self._route.earlier_steps, self._route.step])


def _text_bytes(batch: Batch) -> int:
    """Return the size of what a spliced batch says, without the JSON around a text."""
    return sum(max(0, memoryview(choice.delta).nbytes - _EMPTY_DELTA) for choice in batch.spliced)


def _total(steps: Sequence[RouteStep]) -> tuple[Usage | None, CostBreakdown | None]:
    usages = [step.usage for step in steps if step.usage is not None]
    costs = [step.cost for step in steps if step.cost is not None]
    return reduce(Usage.plus, usages) if usages else None, reduce(CostBreakdown.plus, costs) if costs else None
