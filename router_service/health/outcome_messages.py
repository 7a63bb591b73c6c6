"""Outcomes of calls as they are to_message: whole numbers within bounds, so that none can be infinite or no number."""

from __future__ import annotations

from models.selection.decision.outcome import AttemptObservation
from router_service.health.messages import LONGEST_US, MOST_MILLITOKENS, OutcomeMessage

RESULTS = ("success", "error", "rate_limited")
NO_TOOLS, WELL_FORMED, MALFORMED = range(3)


def to_message(one: AttemptObservation, now_s: float) -> OutcomeMessage:
    """``one`` for the other workers, ``now_s`` being the moment of telling, Unix seconds."""
    stream = one.total_s is None
    wait_s, pace = (one.ttft_s if stream else one.total_s) or 0.0, one.tokens_per_s or 0.0
    return OutcomeMessage(
        one.endpoint,
        RESULTS.index(one.result),
        _bounded((now_s - one.now_s) * 1e6, LONGEST_US),
        _bounded(wait_s * 1e6, LONGEST_US),
        _bounded(pace * 1e3, MOST_MILLITOKENS),
        stream,
        (MALFORMED if one.malformed_tool_call else WELL_FORMED) if one.tools else NO_TOOLS,
        _bounded((one.now_s - one.began_s) * 1e6, LONGEST_US) if one.began_s is not None else 0,
    )


def from_message(one: OutcomeMessage, at_s: float) -> AttemptObservation:
    """The inverse; ``at_s`` Unix seconds by this worker's clock at the moment of telling."""
    wait_s, ended_s = one.wait_us / 1e6 or None, at_s - one.ago_us / 1e6
    return AttemptObservation(
        ended_s,
        one.endpoint,
        one.endpoint.partition(":")[0],
        RESULTS[one.result],  # type: ignore[arg-type]
        0.0,
        wait_s if one.stream else None,
        one.millitokens_per_s / 1e3 or None,
        one.tools == MALFORMED,
        one.tools != NO_TOOLS,
        None if one.stream else wait_s,
        ended_s - one.lasted_us / 1e6 if one.lasted_us else None,
    )


def _bounded(value: float, most: int) -> int:
    return int(min(max(value, 0.0), most))
