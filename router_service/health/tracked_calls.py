"""Hold the calls to one endpoint that wait for their first token."""

from __future__ import annotations


class TrackedCall:
    """Follow a call that was sent at second ``began``.

    Its latency counts from ``since``, which is later for a long prompt. ``stream`` says whether it waits for the first
    token of a stream or for the end of a non-streaming response.
    """

    __slots__ = ("began", "endpoint", "since", "stream")

    def __init__(self, endpoint: str, began: float, allowance_s: float, stream: bool) -> None:
        self.endpoint = endpoint
        self.began = began
        self.since = began + allowance_s
        self.stream = stream

    def is_late(self, now: float, limits: tuple[float, float]) -> bool:
        """Return whether the limit has passed; ``limits`` are seconds, of a non-streaming response and of a TTFT."""
        return now - self.since > limits[self.stream]


class AwaitingCalls:
    """Hold an endpoint's calls without a first token, and the second at which it sent the last one."""

    __slots__ = ("answered_at", "calls")

    def __init__(self) -> None:
        self.calls: set[TrackedCall] = set()
        self.answered_at = float("-inf")
