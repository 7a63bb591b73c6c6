"""Calls that wait for a first token, and endpoints that have stopped giving any.

A breaker hears of a hang when deadlines have passed, half a minute later or five. Here calls under way tell of it.
"""

from __future__ import annotations

from router_service.health.endpoint_health import EndpointHealth

# Ours, all of them. Three that wait together are no chance: one in a hundred calls takes longer than p99.
CALLS = 3
FACTOR = 2.0
PERCENT = 99
LEAST_MEASURED = 20
# Below, a pause of this process or of a network looks the same; how long a whole answer takes is its client's choice.
STREAM_FLOOR_S = 0.5
WHOLE_FLOOR_S = 10.0


def is_hanging(state: EndpointHealth, now: float) -> bool:
    """Whether ``CALLS`` calls, begun since its last answer, have waited past ``FACTOR`` times its own p99.

    Answers to other calls are a sign of life: an endpoint that is slow under load gives them. Streams are measured by
    their first tokens, others by whole answers; what has not been measured is not judged.
    """
    waiting = state.waiting
    if waiting is None or len(waiting.calls) < CALLS:
        return False
    floors = (WHOLE_FLOOR_S, STREAM_FLOOR_S)
    late = [call for call in waiting.calls if call.began > waiting.answered_at and call.is_late(now, floors)]
    if len(late) < CALLS:
        return False
    limits = (_limit(state, now, stream=False), _limit(state, now, stream=True))
    return sum(call.is_late(now, limits) for call in late) >= CALLS


def _limit(state: EndpointHealth, now: float, *, stream: bool) -> float:
    waits = state.first_tokens(stream=stream)
    usual = waits.levels("30m", int(now), (PERCENT,), LEAST_MEASURED) if waits else None
    return float("inf") if usual is None else FACTOR * usual[0]
