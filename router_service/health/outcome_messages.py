"""Convert outcomes of calls to messages and back: integers within bounds, so that none can be infinite or NaN."""

from __future__ import annotations

from models.selection.decision.outcome import AttemptObservation
from router_service.health.messages import MAX_MILLITOKENS_PER_S, MAX_SPAN_US, OutcomeMessage

RESULTS = ("success", "error", "rate_limited")
_INDEX = {result: index for index, result in enumerate(RESULTS)}
NO_TOOLS, WELL_FORMED, MALFORMED = range(3)


def to_message(outcome: AttemptObservation, now_s: float) -> OutcomeMessage:
    """Return the message for the other workers that is sent at ``now_s``, in Unix seconds."""
    ended_s, began_s, total_s, tokens_per_s = outcome.now_s, outcome.began_s, outcome.total_s, outcome.tokens_per_s
    age_us = (now_s - ended_s) * 1e6
    latency_us = ((outcome.ttft_s if total_s is None else total_s) or 0.0) * 1e6
    duration_us = 0.0 if began_s is None else (ended_s - began_s) * 1e6
    # One comparison each where every figure is usual. A worker sends hundreds of messages a second.
    usual = 0.0 <= age_us < MAX_SPAN_US and 0.0 <= latency_us < MAX_SPAN_US and 0.0 <= duration_us < MAX_SPAN_US
    return OutcomeMessage(
        outcome.endpoint,
        _INDEX[outcome.result],
        int(age_us) if usual else _bounded(age_us, MAX_SPAN_US),
        int(latency_us) if usual else _bounded(latency_us, MAX_SPAN_US),
        _bounded(tokens_per_s * 1e3, MAX_MILLITOKENS_PER_S) if tokens_per_s else 0,
        total_s is None,
        (MALFORMED if outcome.malformed_tool_call else WELL_FORMED) if outcome.tools else NO_TOOLS,
        int(duration_us) if usual else _bounded(duration_us, MAX_SPAN_US),
    )


def from_message(message: OutcomeMessage, at_s: float) -> AttemptObservation:
    """Return the outcome; ``at_s`` is when the message was sent, in Unix seconds of this worker's clock."""
    latency_s, ended_s = message.latency_us / 1e6 or None, at_s - message.age_us / 1e6
    return AttemptObservation(
        ended_s,
        message.endpoint,
        message.endpoint.partition(":")[0],
        RESULTS[message.result],  # type: ignore[arg-type]
        0.0,
        latency_s if message.stream else None,
        message.millitokens_per_s / 1e3 or None,
        message.tools == MALFORMED,
        message.tools != NO_TOOLS,
        None if message.stream else latency_s,
        ended_s - message.duration_us / 1e6 if message.duration_us else None,
    )


def _bounded(value: float, maximum: int) -> int:
    if 0.0 < value < maximum:
        return int(value)
    return maximum if value > 0.0 else 0
