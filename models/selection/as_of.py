"""The log walked in time: what was known of each endpoint when a decision was made, and nothing that came later.

An attempt counts as under way from its start, and its outcome as known from its end, as the router learns them.
What happens in the very microsecond of a decision was not known to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from data.schema import CLIENT_DEADLINE, LOST
from models.selection.observed import Observed, Views
from models.selection.outcome import Outcome

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
Result = Literal["success", "error", "rate_limited"]
_STARTED = 1


class Ended(NamedTuple):
    """What an attempt came to: ``result`` is ``None`` where it says nothing of the endpoint. ``known_us`` Unix µs.

    ``ttft_s`` of an answer that was not streamed is its whole time.
    """

    known_us: int
    result: Result | None
    ttft_s: float | None = None
    tokens_per_s: float | None = None


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
            heapq.heappush(coming, (now_us + attempt["started_us"], number, name, _STARTED))
            heapq.heappush(coming, (found.known_us, number + 1, name, _outcome(attempt, found, row["stream"])))
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
    """Of the attempt at ``place``. One without a duration ended with its request.

    Throughput, in tokens a second from the first token on, is that of streamed answers which came to their end. Of a
    call that was cut for another's sooner answer the wait is a lower bound: left out, it would flatter.
    """
    attempt = row["attempts"][place]
    spent_us = max(attempt["duration_us"] or 0, attempt["ttft_us"] or 0)
    end_us = attempt["started_us"] + spent_us if spent_us else max(row.get("duration_us") or 0, attempt["started_us"])
    known_us = started_us(row) + end_us
    error = attempt["error_type"]
    if error == LOST:
        return Ended(known_us, "success", spent_us / 1e6) if spent_us else Ended(known_us, None)
    if error is not None:
        result: Result | None = "rate_limited" if error == "rate_limit_exceeded" else "error"
        return Ended(known_us, None if error in JUDGES_NOTHING or error == CLIENT_DEADLINE else result)
    if not attempt["ttft_us"]:
        return Ended(known_us, None)
    ttft_s, tokens = attempt["ttft_us"] / 1e6, row.get("completion_tokens")
    pouring_s = ((attempt["duration_us"] or 0) - attempt["ttft_us"]) / 1e6
    served = all(later["error_type"] == LOST for later in row["attempts"][place + 1 :])
    measured = row["stream"] and served and not row["cancelled"] and tokens and pouring_s > 0
    return Ended(known_us, "success", ttft_s, tokens / pouring_s if measured else None)


def _outcome(attempt: Mapping[str, Any], found: Ended, stream: bool) -> Outcome | None:
    if found.result is None:
        return None
    told = Outcome(found.known_us * 1e-6, attempt["endpoint"], attempt["provider"], found.result, 0.0)
    if stream:
        return told._replace(ttft_s=found.ttft_s, tokens_per_s=found.tokens_per_s)
    return told._replace(whole_s=found.ttft_s)


def _happen(observed: Observed, endpoint: str, what: Outcome | int | None) -> None:
    if isinstance(what, Outcome):
        observed.observe(what)
    elif what == _STARTED:
        observed.begin(endpoint)
    else:
        observed.abandon(endpoint)
