"""What came of one attempt."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from data.schema import CLIENT_DEADLINE, LOST

# The client's own error, by the router's rule: every endpoint would have answered the same.
JUDGES_NOTHING = frozenset(
    {
        "content_policy_violation",
        "context_length_exceeded",
        "invalid_prompt",
        "invalid_request",
        "max_tokens_exceeded",
        "payload_too_large",
        "permission_denied",
        "refusal",
        "string_too_long",
        "token_limit_exceeded",
        "unprocessable",
    }
)
# How long a router waits for a whole answer, unless it is set otherwise; timers may come a little early.
WHOLE_ANSWER_S, EARLY_S = 300.0, 1.0
Result = Literal["success", "error", "rate_limited"]


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


class Ended(msgspec.Struct, frozen=True, gc=False):
    """What an attempt came to: ``result`` is ``None`` where it says nothing of the endpoint. ``known_us`` Unix µs.

    ``ttft_s`` of an answer that was not streamed is its whole time. ``malformed`` is ``None`` where no tool was called.
    """

    known_us: int
    result: Result | None
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    malformed: bool | None = None


class Answer(Protocol):
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


def come_to(
    known_us: int, error: str | None, ttft_us: int | None, duration_us: int | None, answer: Answer, served: bool
) -> Ended:
    """The rule, for what is logged and for what is happening alike. ``answer`` is this attempt's if it ``served``.

    Throughput, in tokens a second from the first token on, is that of streamed answers which came to their end. Of a
    call that was cut for another's sooner answer the wait is a lower bound: left out, it would flatter. So it is of a
    whole answer that was given up after ``WHOLE_ANSWER_S``: how long it takes to write is the client's choice.
    """
    spent_us = max(duration_us or 0, ttft_us or 0)
    if error == LOST or (error == "timeout" and not answer.stream and spent_us >= (WHOLE_ANSWER_S - EARLY_S) * 1e6):
        return Ended(known_us, "success", spent_us / 1e6) if spent_us else Ended(known_us, None)
    if error is not None:
        result: Result | None = "rate_limited" if error == "rate_limit_exceeded" else "error"
        return Ended(known_us, None if error in JUDGES_NOTHING or error == CLIENT_DEADLINE else result)
    if not ttft_us:
        return Ended(known_us, None)
    tokens, pouring_s = answer.completion_tokens, ((duration_us or 0) - ttft_us) / 1e6
    measured = answer.stream and served and not answer.cancelled and tokens and pouring_s > 0
    called = served and answer.finish_reason == "tool_calls"
    malformed = answer.tool_call_fault is not None if called else None
    return Ended(known_us, "success", ttft_us / 1e6, tokens / pouring_s if measured and tokens else None, malformed)


def outcome(found: Ended, endpoint: str, provider: str, stream: bool, began_s: float) -> Outcome | None:
    """``found`` as ``Observed`` takes it, of a call sent at ``began_s``; ``None`` where it is to be abandoned."""
    if found.result is None:
        return None
    ttft_s, whole_s = (found.ttft_s, None) if stream else (None, found.ttft_s)
    return Outcome(
        found.known_us * 1e-6,
        endpoint,
        provider,
        found.result,
        0.0,
        ttft_s,
        found.tokens_per_s,
        bool(found.malformed),
        found.malformed is not None,
        whole_s,
        began_s,
    )
