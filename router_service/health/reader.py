"""Read the health of endpoints: what plans depend on, and the statistics that clients are shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from router_service.health import uptime_tiers
from router_service.health.breaker import limit_ejections
from router_service.health.distance import NetworkDistances
from router_service.health.endpoint_health import EndpointHealth
from router_service.health.endpoint_table import EndpointTable
from router_service.health.messages import QualitySums
from router_service.health.percentiles import MeasuredPercentiles, SpeedWindow
from router_service.health.quality import NO_QUALITY
from router_service.health.response_counter import ResponseCounter
from router_service.health.uptime_tiers import UptimeTier
from router_service.health.windows import KINDS, OutcomeCounts, WindowName

_NONE: frozenset[str] = frozenset()


class HealthReader:
    """Read the health of endpoints by id. ``clock`` gives seconds and never goes back.

    ``outages``, ``ejected``, ``limited`` and ``uptime_tier`` change only when ``epoch`` does, so a plan is valid for as
    long as the epoch is.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._table = EndpointTable()
        self._plan_state = self._table.plan_state
        self._distances = NetworkDistances()
        self._responses = ResponseCounter(clock, self._table, self._distances)

    @property
    def epoch(self) -> int:
        """Return the version of what plans depend on."""
        return self._plan_state.epoch

    @property
    def outages(self) -> frozenset[str]:
        """Return the endpoints with a significant outage in the last 30 s."""
        return self._plan_state.outages

    def is_healthy(self, endpoint: str) -> bool:
        """Return whether it has no outage, rate limit or ejection, and is not recovering from an ejection."""
        plan_state = self._plan_state
        state = plan_state.watched.get(endpoint)
        if state is None:
            return True
        return not (state.breaker.tripped or endpoint in plan_state.outages or endpoint in plan_state.limited)

    def ejected(self, endpoints: Sequence[str]) -> frozenset[str]:
        """Return which of a model's ``endpoints`` are ejected: never more than half of them, the worst first."""
        ejecting = self._plan_state.ejecting
        return limit_ejections(endpoints, ejecting) if ejecting else _NONE

    def limited(self, endpoint: str) -> bool:
        """Return whether a call would come before Retry-After or exceed the learned cap: it is then a last resort."""
        return endpoint in self._plan_state.limited

    def uptime_tier(self, endpoint: str) -> UptimeTier:
        """Return the tier; it is at most a second old for an endpoint with traffic, a minute for one without."""
        return self._plan_state.tiers.get(endpoint, "insufficient")

    def status(self, endpoint: str) -> int:
        """Return the most severe public status code that applies, see ``uptime_tiers``."""
        plan_state, tier = self._plan_state, self.uptime_tier(endpoint)
        if endpoint in plan_state.ejecting:
            return uptime_tiers.STATUS_EJECTED
        if endpoint in plan_state.limited:
            return uptime_tiers.STATUS_LIMITED
        if tier == "down":
            return uptime_tiers.STATUS_DOWN
        degraded = tier == "degraded" or endpoint in plan_state.outages
        return uptime_tiers.STATUS_DEGRADED if degraded else uptime_tiers.STATUS_NORMAL

    def counts(self, endpoint: str, window: WindowName) -> OutcomeCounts:
        """Return the requests of ``window`` by outcome, of this worker and of those that it shares with."""
        state = self._find(endpoint)
        return state.windows.totals(window, int(self._clock())) if state else OutcomeCounts(*[0] * KINDS)

    def uptime(self, endpoint: str, window: WindowName) -> float | None:
        """Return the percentage successful ÷ (successful + failed) of ``window``; ``None`` for too few requests."""
        return uptime_tiers.uptime(self.counts(endpoint, window))

    def quality(self, endpoint: str) -> QualitySums:
        """Return sums of tool calls, tokens and Retry-After, of this worker and of those that it shares with."""
        state = self._find(endpoint)
        return state.quality.sums(int(self._clock())) if state and state.quality else NO_QUALITY

    def ttft(self, endpoint: str) -> float | None:
        """Return the running mean of TTFT in seconds; ``None`` without a measurement."""
        state = self._find(endpoint)
        return state.ttft_s if state else None

    def throughput(self, endpoint: str) -> float | None:
        """Return the running mean of output tokens a second; ``None`` without a measurement."""
        state = self._find(endpoint)
        return state.tokens_per_s if state else None

    def distance(self, endpoint: str, client_region: str | None) -> float:
        """Return what multiplies the endpoint's TTFT for clients of the region, learned from this worker's streams."""
        self._responses.flush()
        return self._distances.factor(endpoint, client_region)

    def latency_percentiles(self, endpoint: str, window: SpeedWindow, min_count: int = 1) -> MeasuredPercentiles | None:
        """Return percentiles of TTFT in seconds of this worker's streams; ``None`` below ``min_count`` streams."""
        state = self._find(endpoint)
        return state.ttfts.percentiles(window, int(self._clock()), min_count) if state and state.ttfts else None

    def latency_quantiles(
        self, endpoint: str, percents: Sequence[int], min_count: int, *, stream: bool
    ) -> list[float] | None:
        """Return for each of ``percents`` the seconds that this share of this worker's calls did not exceed.

        The calls are those of the last 30 minutes: TTFTs of streams or times of non-streaming responses. Below
        ``min_count`` calls it returns ``None``.
        """
        state = self._find(endpoint)
        latencies = state.latencies(stream=stream) if state else None
        return latencies.quantiles("30m", int(self._clock()), percents, min_count) if latencies else None

    def throughput_percentiles(self, endpoint: str, window: SpeedWindow) -> MeasuredPercentiles | None:
        """Return percentiles of output tokens a second of this worker's streams; 90 % of them reached ``p90``."""
        state = self._find(endpoint)
        if state is None or state.throughputs is None:
            return None
        return state.throughputs.percentiles(window, int(self._clock()), highest_first=True)

    def _find(self, endpoint: str) -> EndpointHealth | None:
        """Return the endpoint's health up to now; ``None`` if it was never called."""
        self._responses.flush()
        return self._table.by_id.get(endpoint)
