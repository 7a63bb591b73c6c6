"""What one worker tells the others. Read from files and from the network, so every value has its bounds."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Sum = Annotated[int, Meta(ge=0, le=10**12)]
Name = Annotated[str, Meta(max_length=500)]


class Sums(NamedTuple):
    """Sums of the windows that end now; each reaches back its length less at most ten minutes.

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


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One endpoint since the worker's last report. The ``until`` are seconds of the machine's monotonic clock,
    0 when nothing holds; ``ejections`` is how many in a row there have been. A worker of
    an older version leaves ``quality`` out, and reads on without it.
    """

    endpoint: Name
    success: Count = 0
    failure: Count = 0
    rate_limited: Count = 0
    uncounted: Count = 0
    ejected_until: float = 0.0
    ejections: Annotated[int, Meta(ge=0, le=64)] = 0
    retry_until: float = 0.0
    quality: Sums | None = None

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """By kind, in the order of ``windows``."""
        return self.success, self.failure, self.rate_limited, self.uncounted


class Conversation(msgspec.Struct, frozen=True, array_like=True):
    """Where a conversation was served at second ``at``; see ``sticky.Entry``. No ``endpoint``: it is free again."""

    digest: Annotated[bytes, Meta(max_length=64)]
    model: Name
    endpoint: Name
    at: float
    until: float
    cached: Count
    completion: Count
    misses: Count


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Told together ``at`` that second of the monotonic clock.

    ``sender`` and its running ``number`` say which batch it is, on whichever ways it comes; one without is always new.
    """

    at: float
    reports: list[Report]
    conversations: list[Conversation] = []
    sender: Annotated[str, Meta(max_length=64)] = ""
    number: int = 0
