"""The log walked in time: what was known of each endpoint when a decision was made, and nothing that came later.

An attempt counts as under way from its start, and its outcome as known from its end, as the router learns them.
What happens in the very microsecond of a decision was not known to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from data.schema import CLIENT_DEADLINE, LOST, STALE
from models.selection.decision.live_observations import Observed, Views
from models.selection.decision.outcome import Outcome

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
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
_STARTED = 1


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


class Logged(NamedTuple):
    """The ``Answer`` of a row."""

    stream: bool
    cancelled: bool
    completion_tokens: int | None = None
    finish_reason: str | None = None
    tool_call_fault: str | None = None


def walk(
    rows: Iterable[Mapping[str, Any]], wanted: Callable[[Mapping[str, Any]], Sequence[str]]
) -> Iterator[tuple[Mapping[str, Any], Views]]:
    """Each row of ``decision_log``, in order of arrival, with what was known of the endpoints ``wanted(row)`` names.

    Raises ``ValueError`` on rows out of order.
    """
    observed = Observed()
    # Time in Unix µs, a number that keeps order among equals, and what happens.
    coming: list[tuple[int, int, str, Outcome | int | None]] = []
    number, before = 0, 0
    for row in rows:
        now_us = started_us(row)
        if now_us < before:
            raise ValueError(f"{row['generation_id']} arrived before the row ahead of it; sort the log by started_at")
        before = now_us
        while coming and coming[0][0] < now_us:
            _happen(observed, *heapq.heappop(coming)[2:])
        yield row, observed.views(wanted(row), now_us * 1e-6)
        for place, attempt in enumerate(row["attempts"]):
            found = ended(row, place)
            name = attempt["endpoint"]
            began_us = now_us + attempt["started_us"]
            heapq.heappush(coming, (began_us, number, name, _STARTED))
            told = outcome(found, name, attempt["provider"], row["stream"], began_us * 1e-6)
            heapq.heappush(coming, (found.known_us, number + 1, name, told))
            number += 2


def first_endpoint(row: Mapping[str, Any]) -> tuple[str]:
    """Whom the request was sent to first."""
    return (row["attempts"][0]["endpoint"],)


def every_candidate(row: Mapping[str, Any]) -> list[str]:
    """All that might have been chosen."""
    return [candidate["endpoint"] for candidate in row["candidates"] if candidate["probability"] > 0]


def started_us(row: Mapping[str, Any]) -> int:
    """Arrival in Unix µs."""
    return int((row["started_at"] - EPOCH) / MICROSECOND)


def ended(row: Mapping[str, Any], place: int) -> Ended:
    """Of the attempt at ``place``. One without a duration ended with its request."""
    attempt, later = row["attempts"][place], row["attempts"][place + 1 :]
    spent_us = max(attempt["duration_us"] or 0, attempt["ttft_us"] or 0)
    end_us = attempt["started_us"] + spent_us if spent_us else max(row.get("duration_us") or 0, attempt["started_us"])
    known_us = started_us(row) + end_us
    if any(one.get("reason") == STALE and one["endpoint"] == attempt["endpoint"] for one in later):
        return Ended(known_us, None)
    answer = Logged(row["stream"], row["cancelled"], *(row.get(name) for name in Logged._fields[2:]))
    served = all(one["error_type"] == LOST for one in later)
    return come_to(known_us, attempt["error_type"], attempt["ttft_us"], attempt["duration_us"], answer, served)


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


def _happen(observed: Observed, endpoint: str, what: Outcome | int | None) -> None:
    if isinstance(what, Outcome):
        observed.observe(what)
    elif what == _STARTED:
        observed.begin(endpoint)
    else:
        observed.abandon(endpoint)
