"""Convert outcomes of calls to messages and back: integers within bounds, so that none can be infinite or NaN."""

from __future__ import annotations

from models.selection.decision.outcome import AttemptObservation
from router_service.health.messages import MAX_MILLITOKENS_PER_S, MAX_SPAN_US, OutcomeMessage

RESULTS = ("success", "error", "rate_limited")
NO_TOOLS, WELL_FORMED, MALFORMED = range(3)


def to_message(outcome: AttemptObservation, now_s: float) -> OutcomeMessage:
    """Return the message for the other workers that is sent at ``now_s``, in Unix seconds."""
    stream = outcome.total_s is None
    latency_s = (outcome.ttft_s if stream else outcome.total_s) or 0.0
    return OutcomeMessage(
        outcome.endpoint,
        RESULTS.index(outcome.result),
        _bounded((now_s - outcome.now_s) * 1e6, MAX_SPAN_US),
        _bounded(latency_s * 1e6, MAX_SPAN_US),
        _bounded(outcome.tokens_per_s * 1e3, MAX_MILLITOKENS_PER_S) if outcome.tokens_per_s else 0,
        stream,
        (MALFORMED if outcome.malformed_tool_call else WELL_FORMED) if outcome.tools else NO_TOOLS,
        _bounded((outcome.now_s - outcome.began_s) * 1e6, MAX_SPAN_US) if outcome.began_s is not None else 0,
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
