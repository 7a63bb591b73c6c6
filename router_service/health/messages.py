"""Define the messages by which workers share the health of endpoints, outcomes and requests in flight."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from router_service.core.message_bounds import Count, Name

Sum = Annotated[int, Meta(ge=0, le=10**12)]
LONGEST_US = 3_600_000_000
Span = Annotated[int, Meta(ge=0, le=LONGEST_US)]
MOST_MILLITOKENS = 10**9
MOST_IN_FLIGHT = 1000


class QualitySums(NamedTuple):
    """QualitySums of the windows that end now; each reaches back its length less at most ten minutes.

    ``answers`` are those whose tokens are counted, ``prompt`` tokens hold the ``cached`` ones. ``asked`` 429s came with
    a Retry-After, of ``wait_ms`` milliseconds together. ``tool_requests`` ended with tool calls, and ``malformed`` of
    them held a malformed one.
    """

    answers: Sum = 0
    prompt: Sum = 0
    cached: Sum = 0
    completion: Sum = 0
    asked: Sum = 0
    wait_ms: Sum = 0
    tool_requests: Sum = 0
    malformed: Sum = 0


class HealthReport(msgspec.Struct, frozen=True, array_like=True):
    """One endpoint since the worker's last report. The ``until`` are seconds of the machine's monotonic clock,
    0 when nothing holds; ``ejections`` is how many in a row there have been; ``outdated`` of the failures
    are of calls begun before the last ejection, ``timeouts`` are those of the others; until
    ``probe_until`` the worker tries a recovering endpoint for all. A worker of an older version
    leaves out ``quality`` and what follows, and reads on without.
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
        """By kind, in the order of ``windows``."""
        return self.success, self.failure, self.rate_limited, self.uncounted


class OutcomeMessage(msgspec.Struct, frozen=True, array_like=True):
    """What a call came to: ``result`` is a place in ``outcomes.RESULTS``, ``ago_us`` how long before the batch.

    ``wait_us`` is to the first token of a ``stream`` or the end of a whole answer; it and the pace, thousandths of
    tokens a second, are 0 where nothing was measured. ``tools``: 0 none called, 1 well-formed, 2 malformed. From its
    sending to its end it took ``lasted_us``, 0 where that is not known.
    """

    endpoint: Name
    result: Annotated[int, Meta(ge=0, le=2)]
    ago_us: Span = 0
    wait_us: Span = 0
    millitokens_per_s: Annotated[int, Meta(ge=0, le=MOST_MILLITOKENS)] = 0
    stream: bool = True
    tools: Annotated[int, Meta(ge=0, le=2)] = 0
    lasted_us: Span = 0


class InFlightMessage(msgspec.Struct, frozen=True, array_like=True):
    """How many calls of the worker are under way at an endpoint; of those that changed alone."""

    endpoint: Name
    calls: Annotated[int, Meta(ge=0, le=MOST_IN_FLIGHT)] = 0
