"""Hold everything that is known of one request while it is served. The log record is made of it."""

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


class HedgeLoser(NamedTuple):
    """Describe the call of a hedged pair whose response nobody took.

    ``begun``: its provider is known, or has to be assumed, to have worked on the prompt. ``stops``: closing the
    connection ends that work. ``usage`` is the provider's own count, where it came.
    """

    price: Price
    begun: bool
    stops: bool
    usage: Usage | None = None


class Exchange(msgspec.Struct):
    """Collect what each package learns of a request. Times are ``time.perf_counter`` seconds; ``started_at`` is Unix.

    ``refused`` is a plan in which no endpoint was eligible; ``plans`` are kept for a client that asked for metadata;
    ``calls`` where the request offers tools; ``open_attempts`` are those whose outcome was not reported yet.
    ``complete``: the response came to its end. ``gave_up``: it was cut at a deadline that says nothing about the
    endpoint, the client's own or that of the whole request.
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
    conversation: ConversationKey | None = None
    held_tokens: int | None = None
    decision: Decision | None = None
    refused: Plan | None = None
    plans: list[Plan] | None = None
    attempts: list[Attempt] = []
    open_attempts: list[Attempt] = []
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
    cost: CostBreakdown | None = None
    hedge_loser: HedgeLoser | None = None
    cancelled: bool = False
    ended_by_client: bool | None = None
    output_bytes: int = 0
    complete: bool = False
    gave_up: bool = False
    calls: ToolCallCollector | None = None
    verdict: ToolCallVerdict | None = None
    first_byte: float | None = None
    upstream_wait: float = 0.0
    labelling: Future[tuple[str, float] | None] | None = None

    def __post_init__(self) -> None:
        self.id = generation_id(self.started_at)

    def elapsed_us(self) -> int:
        """Microseconds since arrival."""
        return int((time.perf_counter() - self.clock) * 1e6)
