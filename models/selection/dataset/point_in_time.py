"""Replay the log in time: what was known of each endpoint when a decision was made, and nothing that came later.

An attempt counts as in flight from its start, and its outcome as known from its end, as the router learns them. An
event in the very microsecond of a decision was not known to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from data.record.attempt import LOST, STALE
from models.selection.decision.live_observations import EndpointViews, LiveObservations
from models.selection.decision.outcome import AttemptObservation, JudgedAttempt, judge_attempt, observation_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_STARTED = 1


class LoggedResponse(NamedTuple):
    """Hold the ``ResponseFacts`` of a row."""

    stream: bool
    cancelled: bool
    completion_tokens: int | None = None
    finish_reason: str | None = None
    tool_call_fault: str | None = None


def walk_log(
    rows: Iterable[Mapping[str, Any]], endpoints_of: Callable[[Mapping[str, Any]], Sequence[str]]
) -> Iterator[tuple[Mapping[str, Any], EndpointViews]]:
    """Yield each row of ``decision_log`` with what was known of the endpoints ``endpoints_of(row)`` at its arrival.

    Rows must be in order of arrival.

    Raises ``ValueError`` on rows out of order.
    """
    live = LiveObservations()
    # Time in Unix µs, a number that keeps order among equal times, endpoint and event.
    pending: list[tuple[int, int, str, AttemptObservation | int | None]] = []
    number, previous_us = 0, 0
    for row in rows:
        now_us = started_us(row)
        if now_us < previous_us:
            raise ValueError(f"{row['generation_id']} arrived before the row ahead of it; sort the log by started_at")
        previous_us = now_us
        while pending and pending[0][0] < now_us:
            _apply(live, *heapq.heappop(pending)[2:])
        yield row, live.views(endpoints_of(row), now_us * 1e-6)
        for index, attempt in enumerate(row["attempts"]):
            judged = judge_logged_attempt(row, index)
            name = attempt["endpoint"]
            began_us = now_us + attempt["started_us"]
            heapq.heappush(pending, (began_us, number, name, _STARTED))
            observation = observation_of(judged, name, attempt["provider"], row["stream"], began_us * 1e-6)
            heapq.heappush(pending, (judged.known_us, number + 1, name, observation))
            number += 2


def first_attempted_endpoint(row: Mapping[str, Any]) -> tuple[str]:
    """Return the endpoint that the request was sent to first."""
    return (row["attempts"][0]["endpoint"],)


def eligible_endpoints(row: Mapping[str, Any]) -> list[str]:
    """Return all endpoints that could have been chosen."""
    return [candidate["endpoint"] for candidate in row["candidates"] if candidate["probability"] > 0]


def started_us(row: Mapping[str, Any]) -> int:
    """Return the time of arrival in Unix µs."""
    return int((row["started_at"] - EPOCH) / MICROSECOND)


def judge_logged_attempt(row: Mapping[str, Any], index: int) -> JudgedAttempt:
    """Judge the attempt at ``index``. An attempt without a duration ended with its request."""
    attempt, following = row["attempts"][index], row["attempts"][index + 1 :]
    elapsed_us = max(attempt["duration_us"] or 0, attempt["ttft_us"] or 0)
    end_us = (
        attempt["started_us"] + elapsed_us if elapsed_us else max(row.get("duration_us") or 0, attempt["started_us"])
    )
    known_us = started_us(row) + end_us
    if any(one.get("reason") == STALE and one["endpoint"] == attempt["endpoint"] for one in following):
        return JudgedAttempt(known_us, None)
    response = LoggedResponse(row["stream"], row["cancelled"], *(row.get(name) for name in LoggedResponse._fields[2:]))
    served = all(one["error_type"] == LOST for one in following)
    return judge_attempt(known_us, attempt["error_type"], attempt["ttft_us"], attempt["duration_us"], response, served)


def _apply(live: LiveObservations, endpoint: str, event: AttemptObservation | int | None) -> None:
    if isinstance(event, AttemptObservation):
        live.observe(event)
    elif event == _STARTED:
        live.begin(endpoint)
    else:
        live.abandon(endpoint)
