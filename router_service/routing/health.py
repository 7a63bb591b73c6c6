"""How each endpoint did over the last 30 seconds, in constant memory.

Success and failure follow the reference's uptime: a client's own errors and 429s do not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

WINDOW_S = 30
MIN_FAILURES = 2
OUTAGE_FAILURE_RATE = 0.5
UNCOUNTED = frozenset(
    {
        "rate_limit_exceeded",
        "invalid_request",
        "invalid_prompt",
        "context_length_exceeded",
        "max_tokens_exceeded",
        "payload_too_large",
        "unprocessable",
        "content_policy_violation",
        "refusal",
        "permission_denied",
    }
)


class Window:
    """Per-second counters of successes and failures, a ring of ``WINDOW_S``; TTFT as a running mean."""

    __slots__ = ("failures", "seconds", "successes", "throughput", "ttft")

    def __init__(self) -> None:
        self.successes = [0] * WINDOW_S
        self.failures = [0] * WINDOW_S
        self.seconds = [-1] * WINDOW_S
        self.ttft: float | None = None
        self.throughput: float | None = None

    def add(self, second: int, success: bool) -> None:
        slot = second % WINDOW_S
        if self.seconds[slot] != second:
            self.seconds[slot], self.successes[slot], self.failures[slot] = second, 0, 0
        if success:
            self.successes[slot] += 1
        else:
            self.failures[slot] += 1

    def totals(self, second: int) -> tuple[int, int]:
        """(successes, failures) of the last ``WINDOW_S`` seconds."""
        oldest = second - WINDOW_S
        good = bad = 0
        for slot, stamp in enumerate(self.seconds):
            if stamp > oldest:
                good += self.successes[slot]
                bad += self.failures[slot]
        return good, bad

    def outage(self, second: int) -> bool:
        good, bad = self.totals(second)
        return bad >= MIN_FAILURES and bad >= OUTAGE_FAILURE_RATE * (good + bad)


class Health:
    """Windows of all endpoints. ``epoch`` moves whenever an endpoint enters or leaves an outage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, Window] = {}
        self._checked = -1
        self.outages: frozenset[str] = frozenset()
        self.epoch = 0

    def success(self, endpoint: str, ttft_s: float | None, tokens_per_s: float | None) -> None:
        """Count a good answer; TTFT in seconds and throughput in tokens a second feed the ``sort`` orders."""
        window = self._add(endpoint, True)
        if ttft_s is not None:
            window.ttft = ttft_s if window.ttft is None else window.ttft + 0.2 * (ttft_s - window.ttft)
        if tokens_per_s is not None:
            before = window.throughput
            window.throughput = tokens_per_s if before is None else before + 0.2 * (tokens_per_s - before)

    def failure(self, endpoint: str, error_type: str) -> None:
        """Count a failure unless its kind says nothing about the endpoint."""
        if error_type not in UNCOUNTED:
            self._add(endpoint, False)

    def ttft(self, endpoint: str) -> float | None:
        window = self._windows.get(endpoint)
        return window.ttft if window else None

    def throughput(self, endpoint: str) -> float | None:
        window = self._windows.get(endpoint)
        return window.throughput if window else None

    def refresh(self) -> int:
        """Let outages that have left the window end; returns ``epoch``."""
        second = int(self._clock())
        if second != self._checked:
            self._checked = second
            ended = {name for name in self.outages if not self._windows[name].outage(second)}
            if ended:
                self._set(self.outages - ended)
        return self.epoch

    def _add(self, endpoint: str, success: bool) -> Window:
        second = int(self._clock())
        window = self._windows.get(endpoint)
        if window is None:
            window = self._windows[endpoint] = Window()
        window.add(second, success)
        if not success or endpoint in self.outages:
            out = window.outage(second)
            if out and endpoint not in self.outages:
                self._set(self.outages | {endpoint})
            elif not out and endpoint in self.outages:
                self._set(self.outages - {endpoint})
        return window

    def _set(self, outages: frozenset[str]) -> None:
        self.outages = outages
        self.epoch += 1
