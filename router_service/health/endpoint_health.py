"""All that is known of one endpoint."""

from __future__ import annotations

from models.selection.decision.outcome import MAX_MEASURED, MIN_MEASURED
from router_service.health.breaker import Breaker, Phase
from router_service.health.capacity import Capacity
from router_service.health.messages import HealthReport
from router_service.health.percentiles import Histogram
from router_service.health.quality import Quality
from router_service.health.tracked_calls import AwaitingCalls
from router_service.health.windows import Windows

EWMA_WEIGHT = 0.2
SMALLEST_LATENCY_S = 0.005
SMALLEST_TOKENS_PER_S = 0.1


class EndpointHealth:
    """Fixed in size. ``unsent_…`` are counts the other workers have yet to be told; ``fresh``: since the last look."""

    __slots__ = ("answers", "breaker", "capacity", "fresh", "latency", "name", "quality", "throughput",
                 "tokens_per_s", "ttft_s", "unsent_outdated", "unsent_timeouts",
                 "waiting", "windows")  # fmt: skip

    def __init__(self, name: str, second: int) -> None:
        self.name = name
        self.windows = Windows(second)
        self.breaker = Breaker()
        self.capacity = Capacity()
        self.latency: Histogram | None = None
        self.answers: Histogram | None = None
        self.throughput: Histogram | None = None
        self.quality: Quality | None = None
        self.ttft_s: float | None = None
        self.tokens_per_s: float | None = None
        self.unsent_outdated = self.unsent_timeouts = 0
        self.waiting: AwaitingCalls | None = None
        self.fresh = False

    def add_ttft(self, seconds: float, second: int) -> None:
        if not MIN_MEASURED <= seconds <= MAX_MEASURED:
            return
        before = self.ttft_s
        self.ttft_s = seconds if before is None else before + EWMA_WEIGHT * (seconds - before)
        if self.latency is None:
            self.latency = Histogram(SMALLEST_LATENCY_S, second)
        self.latency.add(seconds, second)

    def add_answer(self, seconds: float, second: int) -> None:
        """Of a whole answer, from the request to its end."""
        if not MIN_MEASURED <= seconds <= MAX_MEASURED:
            return
        if self.answers is None:
            self.answers = Histogram(SMALLEST_LATENCY_S, second)
        self.answers.add(seconds, second)

    def first_tokens(self, *, stream: bool) -> Histogram | None:
        """How long requests waited: streams for their first token, others for the whole answer."""
        return self.latency if stream else self.answers

    def add_throughput(self, tokens_per_s: float, second: int) -> None:
        if not MIN_MEASURED <= tokens_per_s <= MAX_MEASURED:
            return
        before = self.tokens_per_s
        self.tokens_per_s = tokens_per_s if before is None else before + EWMA_WEIGHT * (tokens_per_s - before)
        if self.throughput is None:
            self.throughput = Histogram(SMALLEST_TOKENS_PER_S, second)
        self.throughput.add(tokens_per_s, second)

    def quality_at(self, second: int) -> Quality:
        """Made with the first count: most endpoints of a catalogue never see any."""
        if self.quality is None:
            self.quality = Quality(second)
        return self.quality

    def report(self, now: float) -> HealthReport:
        """What the other workers should know; the counts are then told."""
        success, failure, limited, uncounted = self.windows.take_untold()
        timeouts, outdated = self.unsent_timeouts, self.unsent_outdated
        self.unsent_outdated = self.unsent_timeouts = 0
        breaker, retry_until = self.breaker, self.capacity.retry_until
        own = breaker.phase(now) is Phase.OPEN and not breaker.followed
        return HealthReport(
            self.name,
            success,
            failure,
            limited,
            uncounted,
            breaker.until if own else 0.0,
            breaker.ejections,
            retry_until if retry_until > now else 0.0,
            self.quality.take_unsent() if self.quality else None,
            timeouts,
            outdated,
            breaker.probe_until(now),
        )
