"""One request on its way through the rooms. Each room adds what it knows; the log record is a view of it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from data.record.attempt import Attempt
from data.record.record import Record
from router_service.telemetry.request_columns import describe_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from models.categories.classify import Label
    from router_service.accounting.cost import Cost
    from router_service.accounting.lost import LostCall
    from router_service.api.head import Head
    from router_service.providers.contract import Usage
    from router_service.routing.affinity import Affinity
    from router_service.routing.plan import Decision, Plan
    from router_service.tool_calls.calls import Calls
    from router_service.tool_calls.check import Verdict


class _Entropy:
    """Random bytes of the system, fetched by the page: each system call may hand the interpreter to another thread."""

    def __init__(self) -> None:
        self._page = ""
        self._used = 0

    def hex(self, digits: int) -> str:
        if self._used + digits > len(self._page):
            self._page, self._used = os.urandom(4096).hex(), 0
        self._used += digits
        return self._page[self._used - digits : self._used]


_entropy = _Entropy()


def generation_id(now_s: float) -> str:
    """``gen-<Unix seconds>-<20 hex digits>``: the time in it lets a look-up read one day of the lake."""
    return f"gen-{int(now_s)}-{_entropy.hex(20)}"


class Exchange(msgspec.Struct):
    """Times are ``time.perf_counter`` seconds; ``started_at`` is Unix seconds.

    ``refused`` is a plan of which nothing was left; ``plans`` are kept for a client that asked for metadata; ``calls``
    where the request offers tools; ``lost`` is the call that another, sent beside it, made needless; ``under_way`` are
    attempts that have not come to their end.
    """

    body: bytes
    headers: Mapping[bytes, bytes]
    head: Head | None = None
    started_at: float = msgspec.field(default_factory=time.time)
    clock: float = msgspec.field(default_factory=time.perf_counter)
    id: str = ""
    key_hash: str | None = None
    client_region: str | None = None
    country: str | None = None
    affinity: Affinity | None = None
    held_tokens: int | None = None
    decision: Decision | None = None
    refused: Plan | None = None
    plans: list[Plan] | None = None
    attempts: list[Attempt] = []
    under_way: list[Attempt] = []
    model: str | None = None
    endpoint: str | None = None
    provider: str | None = None
    wire_format: str | None = None
    upstream_id: str | None = None
    service_tier: str | None = None
    status: int = 500
    error_type: str | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    lost: LostCall | None = None
    cancelled: bool = False
    ended_by_client: bool | None = None
    output_bytes: int = 0
    calls: Calls | None = None
    verdict: Verdict | None = None
    first_byte: float | None = None
    upstream_wait: float = 0.0
    labelling: Future[Label | None] | None = None

    def __post_init__(self) -> None:
        self.id = generation_id(self.started_at)

    def elapsed_us(self) -> int:
        """Microseconds since arrival."""
        return int((time.perf_counter() - self.clock) * 1e6)

    def record(self, worker: str) -> Record:
        """The row that goes to the log."""
        duration_us = self.elapsed_us()
        head, usage, cost, decision = self.head, self.usage, self.cost, self.decision
        model = self.model or (decision.plan.model if decision else None)
        record = Record(
            generation_id=self.id,
            started_at=int(self.started_at * 1e6),
            worker=worker,
            requested_model=(head.model or "") if head else "",
            stream=bool(head and head.stream),
            status=self.status,
            duration_us=duration_us,
            key_hash=self.key_hash,
            client_region=self.client_region,
            country=self.country,
            held_tokens=self.held_tokens,
            body_bytes=len(self.body),
            estimated_prompt_tokens=len(self.body) // 4,
            attempts=self.attempts,
            model=model,
            author=model.split("/", 1)[0] if model else None,
            endpoint=self.endpoint,
            provider=self.provider,
            wire_format=self.wire_format,
            upstream_id=self.upstream_id,
            service_tier=self.service_tier,
            error_type=self.error_type,
            finish_reason=self.finish_reason,
            native_finish_reason=self.native_finish_reason,
            cancelled=self.cancelled,
            ended_by_client=self.ended_by_client,
            output_bytes=self.output_bytes,
            ttft_us=None if self.first_byte is None else int((self.first_byte - self.clock) * 1e6),
            overhead_us=max(0, duration_us - int(self.upstream_wait * 1e6)),
        )
        describe_request(record, self.headers, head)
        if self.verdict:
            record.tool_calls, record.tool_call_fault = self.verdict
        label = self._label()
        if label:
            record.category, record.category_confidence = label
        if decision:
            decision.describe(record)
        elif self.refused:
            self.refused.describe(record)
        if usage:
            record.prompt_tokens = usage.prompt_tokens
            record.completion_tokens = usage.completion_tokens
            record.cached_tokens = usage.cached_tokens
            record.cache_write_tokens = usage.cache_write_tokens
            record.reasoning_tokens = usage.reasoning_tokens
        if cost:
            record.charges = cost.charges
            record.cost_nano = cost.total
            record.cost_prompt_nano = cost.prompt
            record.cost_cached_nano = cost.cached
            record.cost_completion_nano = cost.completion
        if self.lost:
            record.hedge_cost_nano = self.lost.cost_nano(usage, record.estimated_prompt_tokens)
        return record

    def _label(self) -> Label | None:
        done = self.labelling is not None and self.labelling.done() and not self.labelling.cancelled()
        return self.labelling.result() if self.labelling and done else None
