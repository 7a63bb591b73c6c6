"""Hold everything that is known about the health of one endpoint."""

from __future__ import annotations

from models.selection.decision.outcome import MAX_MEASURED, MIN_MEASURED
from router_service.health.breaker import Breaker, BreakerState
from router_service.health.capacity import Capacity
from router_service.health.messages import HealthReport
from router_service.health.percentiles import Histogram
from router_service.health.quality import QualityWindows
from router_service.health.tracked_calls import AwaitingCalls
from router_service.health.windows import OutcomeWindows

EWMA_WEIGHT = 0.2
MIN_LATENCY_S = 0.005
MIN_TOKENS_PER_S = 0.1


class EndpointHealth:
    """Hold windows, breaker, capacity and speeds of one endpoint, in memory of fixed size.

    The ``unsent_…`` are counts that the other workers have not received yet. ``changed`` says that something was
    counted since the endpoint was last graded. ``ttft_s`` and ``tokens_per_s`` are running means; histograms and
    ``quality`` are made with their first value, since most endpoints of a catalogue never have one.
    """

    __slots__ = ("awaiting", "breaker", "capacity", "changed", "name", "quality", "response_times", "throughputs",
                 "tokens_per_s", "ttft_s", "ttfts", "unsent_outdated", "unsent_timeouts", "windows")  # fmt: skip

    def __init__(self, name: str, second: int) -> None:
        self.name = name
        self.windows = OutcomeWindows(second)
        self.breaker = Breaker()
        self.capacity = Capacity()
        self.ttfts: Histogram | None = None
        self.response_times: Histogram | None = None
        self.throughputs: Histogram | None = None
        self.quality: QualityWindows | None = None
        self.ttft_s: float | None = None
        self.tokens_per_s: float | None = None
        self.unsent_outdated = self.unsent_timeouts = 0
        self.awaiting: AwaitingCalls | None = None
        self.changed = False

    def add_ttft(self, seconds: float, second: int) -> None:
        """Count the TTFT of a stream."""
        if not MIN_MEASURED <= seconds <= MAX_MEASURED:
            return
        before = self.ttft_s
        self.ttft_s = seconds if before is None else before + EWMA_WEIGHT * (seconds - before)
        if self.ttfts is None:
            self.ttfts = Histogram(MIN_LATENCY_S, second)
        self.ttfts.add(seconds, second)

    def add_response_time(self, seconds: float, second: int) -> None:
        """Count the time of a non-streaming response, from the request to its end."""
        if not MIN_MEASURED <= seconds <= MAX_MEASURED:
            return
        if self.response_times is None:
            self.response_times = Histogram(MIN_LATENCY_S, second)
        self.response_times.add(seconds, second)

    def latencies(self, *, stream: bool) -> Histogram | None:
        """Return the TTFTs of streams, or the times of non-streaming responses."""
        return self.ttfts if stream else self.response_times

    def add_throughput(self, tokens_per_s: float, second: int) -> None:
        """Count the output tokens a second of a stream."""
        if not MIN_MEASURED <= tokens_per_s <= MAX_MEASURED:
            return
        before = self.tokens_per_s
        self.tokens_per_s = tokens_per_s if before is None else before + EWMA_WEIGHT * (tokens_per_s - before)
        if self.throughputs is None:
            self.throughputs = Histogram(MIN_TOKENS_PER_S, second)
        self.throughputs.add(tokens_per_s, second)

    def quality_at(self, second: int) -> QualityWindows:
        """Return the quality windows, made with the first count."""
        if self.quality is None:
            self.quality = QualityWindows(second)
        return self.quality

    def drain_report(self, now: float) -> HealthReport:
        """Return what the other workers should know, and reset the counts that it contains."""
        success, failure, limited, uncounted = self.windows.drain_unsent()
        timeouts, outdated = self.unsent_timeouts, self.unsent_outdated
        self.unsent_outdated = self.unsent_timeouts = 0
        breaker, retry_until = self.breaker, self.capacity.retry_until
        own = breaker.state(now) is BreakerState.OPEN and not breaker.from_peer
        return HealthReport(
            self.name,
            success,
            failure,
            limited,
            uncounted,
            breaker.until if own else 0.0,
            breaker.ejections,
            retry_until if retry_until > now else 0.0,
            self.quality.drain_unsent() if self.quality else None,
            timeouts,
            outdated,
            breaker.probe_until(now),
        )
