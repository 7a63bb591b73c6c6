"""What came of one attempt."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

# Seconds, or tokens a second: beyond these a clock, a counter or a log was wrong, and nothing was measured.
LEAST_MEASURED, MOST_MEASURED = 1e-9, 1e9


def log_measured(value: float | None) -> float | None:
    """Return ln of ``value``, a latency in s or a throughput in tokens/s, or ``None`` where it is no measurement.

    ``None``, zero, negative numbers, NaN, infinities and what lies beyond ``LEAST_MEASURED`` and ``MOST_MEASURED`` are
    none.
    """
    return math.log(value) if value is not None and LEAST_MEASURED <= value <= MOST_MEASURED else None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of one attempt, told when it has ended. Times and ``tokens_per_s`` are null unless it answered.

    ``began_s`` is when it was sent, by the clock of ``now_s``; null where that is not known, or as good as the same.

    ``ttft_s`` is that of a stream; an answer that comes whole has ``whole_s``, from sending to its end.

    ``loss_s`` is that of a request of typical size, so that sizes add no noise:
    price / ``USD_PER_SECOND`` + TTFT + tokens / throughput, or ``interface.SECONDS_PER_FAILURE``.
    """

    now_s: float
    endpoint: str
    provider: str
    result: Literal["success", "error", "rate_limited"]
    loss_s: float
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    malformed_tool_call: bool = False
    tools: bool = False
    whole_s: float | None = None
    began_s: float | None = None
