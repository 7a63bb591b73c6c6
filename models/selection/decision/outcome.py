"""What came of one attempt."""

from __future__ import annotations

from typing import Literal

import msgspec


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
