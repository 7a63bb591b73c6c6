"""The log walked in time: what was known of each endpoint when a decision was made, and nothing that came later.

An attempt counts as under way from its start, and its outcome as known from its end, as the router learns them.
What happens in the very microsecond of a decision was not known to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from data.schema import LOST, STALE
from models.selection.decision.live_observations import EndpointViews, LiveObservations
from models.selection.decision.outcome import AttemptObservation, JudgedAttempt, judge_attempt, observation_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_STARTED = 1


class LoggedResponse(NamedTuple):
    """The ``Answer`` of a row."""

    stream: bool
    cancelled: bool
    completion_tokens: int | None = None
    finish_reason: str | None = None
    tool_call_fault: str | None = None


def walk_log(
    rows: Iterable[Mapping[str, Any]], wanted: Callable[[Mapping[str, Any]], Sequence[str]]
) -> Iterator[tuple[Mapping[str, Any], EndpointViews]]:
    """Each row of ``decision_log``, in order of arrival, with what was known of the endpoints ``wanted(row)`` names.

    Raises ``ValueError`` on rows out of order.
    """
    observed = LiveObservations()
    # Time in Unix µs, a number that keeps order among equals, and what happens.
    coming: list[tuple[int, int, str, AttemptObservation | int | None]] = []
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
            found = judge_logged_attempt(row, place)
            name = attempt["endpoint"]
            began_us = now_us + attempt["started_us"]
            heapq.heappush(coming, (began_us, number, name, _STARTED))
            told = observation_of(found, name, attempt["provider"], row["stream"], began_us * 1e-6)
            heapq.heappush(coming, (found.known_us, number + 1, name, told))
            number += 2


def first_attempted_endpoint(row: Mapping[str, Any]) -> tuple[str]:
    """Whom the request was sent to first."""
    return (row["attempts"][0]["endpoint"],)


def eligible_endpoints(row: Mapping[str, Any]) -> list[str]:
    """All that might have been chosen."""
    return [candidate["endpoint"] for candidate in row["candidates"] if candidate["probability"] > 0]


def started_us(row: Mapping[str, Any]) -> int:
    """Arrival in Unix µs."""
    return int((row["started_at"] - EPOCH) / MICROSECOND)


def judge_logged_attempt(row: Mapping[str, Any], place: int) -> JudgedAttempt:
    """Of the attempt at ``place``. One without a duration ended with its request."""
    attempt, later = row["attempts"][place], row["attempts"][place + 1 :]
    spent_us = max(attempt["duration_us"] or 0, attempt["ttft_us"] or 0)
    end_us = attempt["started_us"] + spent_us if spent_us else max(row.get("duration_us") or 0, attempt["started_us"])
    known_us = started_us(row) + end_us
    if any(one.get("reason") == STALE and one["endpoint"] == attempt["endpoint"] for one in later):
        return JudgedAttempt(known_us, None)
    answer = LoggedResponse(row["stream"], row["cancelled"], *(row.get(name) for name in LoggedResponse._fields[2:]))
    served = all(one["error_type"] == LOST for one in later)
    return judge_attempt(known_us, attempt["error_type"], attempt["ttft_us"], attempt["duration_us"], answer, served)


def _happen(observed: LiveObservations, endpoint: str, what: AttemptObservation | int | None) -> None:
    if isinstance(what, AttemptObservation):
        observed.observe(what)
    elif what == _STARTED:
        observed.begin(endpoint)
    else:
        observed.abandon(endpoint)
