"""What came of one attempt."""

from __future__ import annotations

import math
from typing import Literal, Protocol

import msgspec

from data.schema import CLIENT_DEADLINE, LOST

# The client's own errors: every endpoint would have answered the same.
CLIENT_ERRORS = frozenset(
    {
        "content_policy_violation",
        "context_length_exceeded",
        "invalid_prompt",
        "invalid_request",
        "max_tokens_exceeded",
        "payload_too_large",
        "refusal",
        "string_too_long",
        "token_limit_exceeded",
        "unprocessable",
    }
)
# Errors that say nothing about the endpoint. The reference leaves 400, 403, 413, 422 and 429 out of uptime; 401, 402,
# 404, 5xx and broken streams count.
UNINFORMATIVE_ERRORS = CLIENT_ERRORS | {"permission_denied"}
# Seconds, or tokens a second: beyond these a clock, a counter or a log was wrong, and nothing was measured.
MIN_MEASURED, MAX_MEASURED = 1e-9, 1e9
# How long a router waits for a whole answer, unless it is set otherwise; timers may come a little early.
DEFAULT_TOTAL_TIMEOUT_S, TIMER_TOLERANCE_S = 300.0, 1.0
AttemptResult = Literal["success", "error", "rate_limited"]


def log_measured(value: float | None) -> float | None:
    """Return ln of ``value``, a latency in s or a throughput in tokens/s, or ``None`` where it is no measurement.

    ``None``, zero, negative numbers, NaN, infinities and what lies beyond ``MIN_MEASURED`` and ``MAX_MEASURED`` are
    none.
    """
    return math.log(value) if value is not None and MIN_MEASURED <= value <= MAX_MEASURED else None


class AttemptObservation(msgspec.Struct, frozen=True, gc=False):
    """What came of one attempt, told when it has ended. Times and ``tokens_per_s`` are null unless it answered.

    ``began_s`` is when it was sent, by the clock of ``now_s``; null where that is not known, or as good as the same.

    ``ttft_s`` is that of a stream; an answer that comes whole has ``total_s``, from sending to its end.

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
    total_s: float | None = None
    began_s: float | None = None


class JudgedAttempt(msgspec.Struct, frozen=True, gc=False):
    """What an attempt came to: ``result`` is ``None`` where it says nothing of the endpoint. ``known_us`` Unix µs.

    ``ttft_s`` of an answer that was not streamed is its whole time. ``malformed`` is ``None`` where no tool was called.
    """

    known_us: int
    result: AttemptResult | None
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    malformed: bool | None = None


class ResponseFacts(Protocol):
    """What the client got, as the record has it; ``None`` of what is not known, or not yet."""

    @property
    def stream(self) -> bool: ...
    @property
    def cancelled(self) -> bool: ...
    @property
    def completion_tokens(self) -> int | None: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def tool_call_fault(self) -> str | None: ...


def judge_attempt(
    known_us: int, error: str | None, ttft_us: int | None, duration_us: int | None, answer: ResponseFacts, served: bool
) -> JudgedAttempt:
    """The rule, for what is logged and for what is happening alike. ``answer`` is this attempt's if it ``served``.

    Throughput, in tokens a second from the first token on, is that of streamed answers which came to their end. Of a
    call that was cut for another's sooner answer the wait is a lower bound: left out, it would flatter. So it is of a
    whole answer that was given up after ``DEFAULT_TOTAL_TIMEOUT_S``: how long it takes to write is the client's choice.
    """
    spent_us = max(duration_us or 0, ttft_us or 0)
    if error == LOST or (
        error == "timeout" and not answer.stream and spent_us >= (DEFAULT_TOTAL_TIMEOUT_S - TIMER_TOLERANCE_S) * 1e6
    ):
        return JudgedAttempt(known_us, "success", spent_us / 1e6) if spent_us else JudgedAttempt(known_us, None)
    if error is not None:
        result: AttemptResult | None = "rate_limited" if error == "rate_limit_exceeded" else "error"
        return JudgedAttempt(known_us, None if error in UNINFORMATIVE_ERRORS or error == CLIENT_DEADLINE else result)
    if not ttft_us:
        return JudgedAttempt(known_us, None)
    tokens, pouring_s = answer.completion_tokens, ((duration_us or 0) - ttft_us) / 1e6
    measured = answer.stream and served and not answer.cancelled and tokens and pouring_s > 0
    called = served and answer.finish_reason == "tool_calls"
    malformed = answer.tool_call_fault is not None if called else None
    return JudgedAttempt(
        known_us, "success", ttft_us / 1e6, tokens / pouring_s if measured and tokens else None, malformed
    )


def observation_of(
    found: JudgedAttempt, endpoint: str, provider: str, stream: bool, began_s: float
) -> AttemptObservation | None:
    """``found`` as ``Observed`` takes it, of a call sent at ``began_s``; ``None`` where it is to be abandoned."""
    if found.result is None:
        return None
    ttft_s, total_s = (found.ttft_s, None) if stream else (None, found.ttft_s)
    return AttemptObservation(
        found.known_us * 1e-6,
        endpoint,
        provider,
        found.result,
        0.0,
        ttft_s,
        found.tokens_per_s,
        bool(found.malformed),
        found.malformed is not None,
        total_s,
        began_s,
    )
