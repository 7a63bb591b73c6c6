"""Count responses and their tokens in groups: most of them concern the same endpoints in the same second."""

from __future__ import annotations

from collections.abc import Callable

from data.record.attempt import AttemptOutcome
from router_service.health.distance import NetworkDistances
from router_service.health.endpoint_health import EndpointHealth
from router_service.health.endpoint_table import EndpointTable
from router_service.health.windows import SUCCESS

# Counted together they cost half of what each costs between two requests; so many take a fraction of a millisecond.
MAX_PENDING = 64


class _ResponseGroup:
    """Count the responses of one endpoint in one second; ``last`` is when the last of them ended."""

    __slots__ = ("count", "last", "state")

    def __init__(self, state: EndpointHealth) -> None:
        self.state = state
        self.count = 0
        self.last = 0.0


class ResponseCounter:
    """Collect responses until ``flush``, which every reader of ``table`` calls first.

    A response of an endpoint whose state may change with it, a watched one, is counted at once.
    """

    def __init__(self, clock: Callable[[], float], table: EndpointTable, distances: NetworkDistances) -> None:
        self._clock = clock
        self._table = table
        self._watched = table.plan_state.watched
        self._distances = distances
        self._pending: list[tuple[float, AttemptOutcome]] = []
        self._pending_usage: list[tuple[float, AttemptOutcome]] = []

    def add(self, outcome: AttemptOutcome) -> None:
        """Count a response that was received in full."""
        self._pending.append((self._clock(), outcome))
        if outcome.endpoint in self._watched or len(self._pending) >= MAX_PENDING:
            self.flush()

    def add_usage(self, outcome: AttemptOutcome) -> None:
        """Count the tokens of a response, however it ended."""
        self._pending_usage.append((self._clock(), outcome))
        if len(self._pending_usage) >= MAX_PENDING:
            self.flush()

    def flush(self) -> None:
        """Count what is pending."""
        if self._pending_usage:
            self._count_usage()
        if self._pending:
            self._count_responses()

    def _count_responses(self) -> None:
        table, distances = self._table, self._distances
        pending, self._pending = self._pending, []
        groups: dict[tuple[str, int], _ResponseGroup] = {}
        for now, outcome in pending:
            endpoint, second = outcome.endpoint, int(now)
            group = groups.get((endpoint, second))
            if group is None:
                state = table.by_id.get(endpoint) or table.create(endpoint, now)
                group = groups[endpoint, second] = _ResponseGroup(state)
            state = group.state
            group.count += 1
            group.last = now
            latency_s = (outcome.ttft_us or 0) / 1e6
            if not outcome.stream:
                state.add_response_time(latency_s, second)
                continue
            state.add_ttft(latency_s, second)
            distances.add(endpoint, outcome.client_region, latency_s)
            tokens, duration_us = outcome.completion_tokens, outcome.duration_us
            # Without usage the throughput is unknown; with a count of 0 it is 0.
            if tokens is not None and duration_us:
                state.add_throughput(tokens / duration_us * 1e6, second)
        for (endpoint, _), group in groups.items():
            state = table.count(endpoint, SUCCESS, group.last, group.count)
            state.capacity.record_accepted()
            if state.breaker.record_success(group.last, group.count):
                table.review(state, group.last)

    def _count_usage(self) -> None:
        pending, self._pending_usage = self._pending_usage, []
        groups: dict[tuple[str, int], list[int]] = {}
        for now, outcome in pending:
            key = outcome.endpoint, int(now)
            sums = groups.get(key)
            if sums is None:
                sums = groups[key] = [0, 0, 0, 0]
            prompt = outcome.prompt_tokens or 0
            sums[0] += 1
            sums[1] += prompt
            sums[2] += min(outcome.cached_tokens or 0, prompt)
            sums[3] += outcome.completion_tokens or 0
        table = self._table
        for (endpoint, second), (responses, prompt, cached, completion) in groups.items():
            state = table.by_id.get(endpoint) or table.create(endpoint, second)
            state.quality_at(second).add_tokens(responses, prompt, cached, completion, second)
            table.mark_changed(state)
