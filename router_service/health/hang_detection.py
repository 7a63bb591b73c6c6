"""Recognise an endpoint that hangs by its calls in flight.

A breaker learns of a hang when deadlines have passed, half a minute later or five. The calls in flight show it sooner.
"""

from __future__ import annotations

from router_service.health.endpoint_health import EndpointHealth

# All of these are ours. Three late calls at a time are no chance: one call in a hundred exceeds p99.
MIN_LATE_CALLS = 3
FACTOR = 2.0
PERCENT = 99
MIN_MEASURED = 20
# A pause of this process or of a network looks the same below the first. The second is long because the time of a
# non-streaming response depends on what its client asked for.
STREAM_FLOOR_S = 0.5
RESPONSE_FLOOR_S = 10.0


def is_hanging(state: EndpointHealth, now: float) -> bool:
    """Return whether ``MIN_LATE_CALLS`` calls, begun since its last first token, exceed ``FACTOR`` times its own p99.

    Responses to other calls show that an endpoint works: one that is slow under load still sends them. Streams are
    compared by TTFT and others by the time of a non-streaming response; a kind without measurements is not judged.
    """
    awaiting = state.awaiting
    if awaiting is None or len(awaiting.calls) < MIN_LATE_CALLS:
        return False
    floors = (RESPONSE_FLOOR_S, STREAM_FLOOR_S)
    late = [call for call in awaiting.calls if call.began > awaiting.answered_at and call.is_late(now, floors)]
    if len(late) < MIN_LATE_CALLS:
        return False
    limits = (_limit(state, now, stream=False), _limit(state, now, stream=True))
    return sum(call.is_late(now, limits) for call in late) >= MIN_LATE_CALLS


def _limit(state: EndpointHealth, now: float, *, stream: bool) -> float:
    latencies = state.latencies(stream=stream)
    usual = latencies.quantiles("30m", int(now), (PERCENT,), MIN_MEASURED) if latencies else None
    return float("inf") if usual is None else FACTOR * usual[0]
