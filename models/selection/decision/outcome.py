"""Judge the outcome of one attempt, by one rule for what is logged and for what is happening."""

from __future__ import annotations

import math
from typing import Literal, Protocol

import msgspec

from data.record.attempt import CLIENT_DEADLINE, LOST

# Errors caused by the client: every endpoint would have responded the same.
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
UNINFORMATIVE_ERRORS = CLIENT_ERRORS | {"permission_denied", CLIENT_DEADLINE}
# Seconds, or tokens a second: beyond these a clock, a counter or a log was wrong, and nothing was measured.
MIN_MEASURED, MAX_MEASURED = 1e-9, 1e9
# The router's default limit of a non-streaming response, in s; timers may fire a little early.
DEFAULT_ANSWER_TIMEOUT_S, TIMER_TOLERANCE_S = 300.0, 1.0
AttemptResult = Literal["success", "error", "rate_limited"]


def log_measured(value: float | None) -> float | None:
    """Return ln of ``value``, a latency in s or a throughput in tokens/s, or ``None`` where it is no measurement.

    ``None``, zero, negative numbers, NaN, infinities and what lies beyond ``MIN_MEASURED`` and ``MAX_MEASURED`` are
    none.
    """
    return math.log(value) if value is not None and MIN_MEASURED <= value <= MAX_MEASURED else None


class AttemptObservation(msgspec.Struct, frozen=True, gc=False):
    """Hold the outcome of one attempt, known at ``now_s``. Times and ``tokens_per_s`` are ``None`` unless it succeeded.

    ``began_s`` is when the attempt was sent, by the clock of ``now_s``; ``None`` where that is not known. ``ttft_s`` is
    that of a stream; a non-streaming response has ``total_s`` instead, from sending to its end.

    ``loss_s`` is the loss in seconds of a request of typical size, so that sizes add no noise: price /
    ``USD_PER_SECOND`` + TTFT + tokens / throughput, or ``SECONDS_PER_FAILURE``. Only baselines and bandits learn from
    it.
    """

    now_s: float
    endpoint: str
    provider: str
    result: AttemptResult
    loss_s: float
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    malformed_tool_call: bool = False
    tools: bool = False
    total_s: float | None = None
    began_s: float | None = None


class JudgedAttempt(msgspec.Struct, frozen=True, gc=False):
    """Hold the judgement of an attempt; ``result`` is ``None`` where the attempt says nothing about its endpoint.

    ``known_us`` is when the outcome was known, Unix µs. ``ttft_s`` is the response time where the response was not
    streamed. ``malformed`` is ``None`` where no tool was called.
    """

    known_us: int
    result: AttemptResult | None
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    malformed: bool | None = None


class ResponseFacts(Protocol):
    """Describe what the client received, as the record holds it; ``None`` stands for what is not known, or not yet."""

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


def informs_about_endpoint(error_type: str) -> bool:
    """Tell whether a failed attempt says anything about its endpoint.

    A client's own error does not, nor a missing permission, nor a deadline of the client's that was shorter than the
    router's.
    """
    return error_type not in UNINFORMATIVE_ERRORS


def judge_attempt(
    known_us: int,
    error_type: str | None,
    ttft_us: int | None,
    duration_us: int | None,
    response: ResponseFacts,
    served: bool,
) -> JudgedAttempt:
    """Judge an attempt. ``response`` is this attempt's own if it ``served`` the request.

    Throughput is tokens/s from the first token on, and known only of streams that came to their end. The time of a call
    that was cancelled for a sooner response is a lower bound of its latency: leaving it out would flatter the endpoint.
    The same holds for a non-streaming response that timed out after ``DEFAULT_ANSWER_TIMEOUT_S``: its length
    is the client's choice.
    """
    elapsed_us = max(duration_us or 0, ttft_us or 0)
    if error_type == LOST or (
        error_type == "timeout"
        and not response.stream
        and elapsed_us >= (DEFAULT_ANSWER_TIMEOUT_S - TIMER_TOLERANCE_S) * 1e6
    ):
        return JudgedAttempt(known_us, "success", elapsed_us / 1e6) if elapsed_us else JudgedAttempt(known_us, None)
    if error_type is not None:
        result: AttemptResult | None = "rate_limited" if error_type == "rate_limit_exceeded" else "error"
        return JudgedAttempt(known_us, result if informs_about_endpoint(error_type) else None)
    if not ttft_us:
        return JudgedAttempt(known_us, None)
    tokens, generation_s = response.completion_tokens, ((duration_us or 0) - ttft_us) / 1e6
    measured = response.stream and served and not response.cancelled and tokens and generation_s > 0
    called_tools = served and response.finish_reason == "tool_calls"
    malformed = response.tool_call_fault is not None if called_tools else None
    return JudgedAttempt(
        known_us, "success", ttft_us / 1e6, tokens / generation_s if measured and tokens else None, malformed
    )


def observation_of(
    judged: JudgedAttempt, endpoint: str, provider: str, stream: bool, began_s: float
) -> AttemptObservation | None:
    """Convert a judged attempt for ``LiveObservations``; ``None`` where the call is to be abandoned.

    ``began_s`` is when the call was sent, Unix seconds.
    """
    if judged.result is None:
        return None
    ttft_s, total_s = (judged.ttft_s, None) if stream else (None, judged.ttft_s)
    return AttemptObservation(
        judged.known_us * 1e-6,
        endpoint,
        provider,
        judged.result,
        0.0,
        ttft_s,
        judged.tokens_per_s,
        bool(judged.malformed),
        judged.malformed is not None,
        total_s,
        began_s,
    )
