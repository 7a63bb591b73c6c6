"""Hold everything that is known of one request while it is served. The log record is built from it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import NamedTuple

import msgspec

from data.catalogue.types import Price
from data.record.attempt import Attempt
from router_service.core.conversation import ConversationKey
from router_service.core.plan import Decision, Plan
from router_service.core.request import Head
from router_service.core.tool_calls import ToolCallCollector, ToolCallVerdict
from router_service.core.usage import CostBreakdown, Usage


class _Entropy:
    """Buffer random bytes of the system: each system call may hand the interpreter to another thread."""

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
    """Return a new id ``gen-<Unix seconds>-<20 hex digits>``. By the time in it a look-up reads one day of the lake."""
    return f"gen-{int(now_s)}-{_entropy.hex(20)}"


class HedgeLoser(NamedTuple):
    """Describe the losing call of a hedged request, whose response was discarded.

    ``started`` is true if its provider is known, or has to be assumed, to have processed the prompt.
    ``stops_on_disconnect`` is true if closing the connection ends that work. ``usage`` is the provider's own count, or
    ``None`` if none was received.
    """

    price: Price
    started: bool
    stops_on_disconnect: bool
    usage: Usage | None = None


class Exchange(msgspec.Struct):
    """Collect what each package learns of a request.

    Times are in seconds of ``time.perf_counter``, except ``started_at``, which is in Unix seconds. ``upstream_s`` is
    the time spent waiting for providers. ``rejected_plan`` is the plan of a request for which no endpoint was eligible.
    ``step`` counts how often middleware has dispatched the request anew; ``earlier_usage`` and ``earlier_cost`` are
    those of the steps before. ``client_model`` is the model as the client wrote it, if ``head`` has another.
    ``body_bytes`` is the size of ``body``, which is empty once the request was released.
    ``plans`` are kept for a client that asked for routing metadata, ``tool_calls`` for a request that offers tools.
    ``open_attempts`` are those whose outcome was not reported yet. ``complete`` is true once the response has ended in
    full. ``deadline_expired`` is true if the response was cut at a deadline that says nothing about the endpoint: the
    client's own or that of the whole request. ``expected_cached_tokens`` are the prompt tokens that the sticky endpoint
    is expected to have in its cache. ``provider_name`` is the display name of ``provider``.
    """

    body: bytes
    headers: Mapping[bytes, bytes]
    head: Head | None = None
    skin: str = "chat"
    client_model: str = ""
    started_at: float = msgspec.field(default_factory=time.time)
    arrival_s: float = msgspec.field(default_factory=time.perf_counter)
    id: str = ""
    key_hash: str | None = None
    client_region: str | None = None
    country: str | None = None
    conversation: ConversationKey | None = None
    expected_cached_tokens: int | None = None
    decision: Decision | None = None
    rejected_plan: Plan | None = None
    plans: list[Plan] | None = None
    attempts: list[Attempt] = []
    open_attempts: list[Attempt] = []
    model: str | None = None
    endpoint: str | None = None
    provider: str | None = None
    provider_name: str | None = None
    wire_format: str | None = None
    dropped_parameters: tuple[str, ...] | None = None
    step: int = 0
    middleware: list[str] | None = None
    earlier_usage: Usage | None = None
    earlier_cost: CostBreakdown | None = None
    upstream_id: str | None = None
    service_tier: str | None = None
    status: int = 500
    error_type: str | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    cost: CostBreakdown | None = None
    hedge_loser: HedgeLoser | None = None
    cancelled: bool = False
    ended_by_client: bool | None = None
    output_bytes: int = 0
    complete: bool = False
    deadline_expired: bool = False
    tool_calls: ToolCallCollector | None = None
    tool_call_verdict: ToolCallVerdict | None = None
    first_byte: float | None = None
    upstream_s: float = 0.0
    labelling: Future[tuple[str, float] | None] | None = None
    body_bytes: int = 0

    def __post_init__(self) -> None:
        self.id = generation_id(self.started_at)

    def elapsed_us(self) -> int:
        """Return the microseconds since the request's arrival."""
        return int((time.perf_counter() - self.arrival_s) * 1e6)
