"""Define the messages by which workers share the health of endpoints, outcomes and requests in flight."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from router_service.core.message_bounds import Count, Name

Sum = Annotated[int, Meta(ge=0, le=10**12)]
MAX_SPAN_US = 3_600_000_000
Span = Annotated[int, Meta(ge=0, le=MAX_SPAN_US)]
MAX_MILLITOKENS_PER_S = 10**9
MAX_IN_FLIGHT = 1000


class QualitySums(NamedTuple):
    """Hold the sums of windows that end now; each reaches back its length less at most ten minutes.

    ``responses`` are those whose tokens are counted; ``prompt`` tokens include the ``cached`` ones.
    ``retry_after_count`` counts 429s that came with a Retry-After, and ``retry_after_ms`` is the sum of those in
    milliseconds. ``tool_requests`` ended with tool calls, and ``malformed`` of them contained a malformed one.
    """

    responses: Sum = 0
    prompt: Sum = 0
    cached: Sum = 0
    completion: Sum = 0
    retry_after_count: Sum = 0
    retry_after_ms: Sum = 0
    tool_requests: Sum = 0
    malformed: Sum = 0


class HealthReport(msgspec.Struct, frozen=True, array_like=True):
    """Report one endpoint since the worker's last report.

    ``success``, ``failure``, ``rate_limited`` and ``uncounted`` are numbers of calls by outcome, see ``OutcomeCounts``.
    ``ejected_until``, ``retry_until`` and ``probe_until`` are seconds of the machine's monotonic clock, 0 while the
    endpoint is not ejected, not paused, or not probed by the sender for all workers. ``ejections`` is how many there
    were in a row. ``outdated`` failures belong to calls that began before the last ejection, and ``timeouts`` are
    among the others. A worker of an older version omits ``quality`` and what follows, and ignores it when it reads.
    """

    endpoint: Name
    success: Count = 0
    failure: Count = 0
    rate_limited: Count = 0
    uncounted: Count = 0
    ejected_until: float = 0.0
    ejections: Annotated[int, Meta(ge=0, le=64)] = 0
    retry_until: float = 0.0
    quality: QualitySums | None = None
    timeouts: Count = 0
    outdated: Count = 0
    probe_until: float = 0.0

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Return the numbers of calls by outcome, in the order of ``windows``."""
        return self.success, self.failure, self.rate_limited, self.uncounted


class OutcomeMessage(msgspec.Struct, frozen=True, array_like=True):
    """Describe the outcome of one call.

    ``result`` is an index of ``outcome_messages.RESULTS``; the call ended ``age_us`` before the batch was sent.
    ``latency_us`` is the TTFT of a ``stream`` or the time of a non-streaming response; it and the throughput, in
    thousandths of a token a second, are 0 if not measured. ``tools`` is 0 if no tool was called, 1 if all calls were
    well-formed, 2 if one was malformed. ``duration_us`` counts from the request to the end, 0 if unknown.
    """

    endpoint: Name
    result: Annotated[int, Meta(ge=0, le=2)]
    age_us: Span = 0
    latency_us: Span = 0
    millitokens_per_s: Annotated[int, Meta(ge=0, le=MAX_MILLITOKENS_PER_S)] = 0
    stream: bool = True
    tools: Annotated[int, Meta(ge=0, le=2)] = 0
    duration_us: Span = 0


class InFlightMessage(msgspec.Struct, frozen=True, array_like=True):
    """State how many calls of the sender are in flight at an endpoint. Endpoints without a change are omitted."""

    endpoint: Name
    calls: Annotated[int, Meta(ge=0, le=MAX_IN_FLIGHT)] = 0
