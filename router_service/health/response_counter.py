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
    """Count the responses of one endpoint in one second.

    ``answered`` were received in full, the last of them at ``last``. ``metered`` reported their tokens.
    """

    __slots__ = ("answered", "cached", "completion", "last", "metered", "prompt", "state")

    def __init__(self, state: EndpointHealth) -> None:
        self.state = state
        self.answered = self.metered = self.prompt = self.cached = self.completion = 0
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
        self._pending: list[tuple[float, bool, AttemptOutcome]] = []

    def add(self, outcome: AttemptOutcome, *, answered: bool) -> None:
        """Count the tokens of a response and, if it was received in full (``answered``), its speed and its success."""
        self._pending.append((self._clock(), answered, outcome))
        if (answered and outcome.endpoint in self._watched) or len(self._pending) >= MAX_PENDING:
            self.flush()

    def flush(self) -> None:
        """Count what is pending."""
        if not self._pending:
            return
        table = self._table
        pending, self._pending = self._pending, []
        groups: dict[tuple[str, int], _ResponseGroup] = {}
        for now, answered, outcome in pending:
            key = endpoint, second = outcome.endpoint, int(now)
            group = groups.get(key)
            if group is None:
                group = groups[key] = _ResponseGroup(table.by_id.get(endpoint) or table.create(endpoint, now))
            if prompt := outcome.prompt_tokens:
                group.metered += 1
                group.prompt += prompt
                group.cached += min(outcome.cached_tokens or 0, prompt)
                group.completion += outcome.completion_tokens or 0
            if answered:
                group.answered += 1
                group.last = now
                self._measure(group.state, outcome, second)
        for (endpoint, second), group in groups.items():
            state = group.state
            if group.metered:
                sums = group.metered, group.prompt, group.cached, group.completion
                state.quality_at(second).add_tokens(*sums, second)
                table.mark_changed(state)
            if group.answered:
                table.count(endpoint, SUCCESS, group.last, group.answered)
                state.capacity.record_accepted()
                if state.breaker.record_success(group.last, group.answered):
                    table.review(state, group.last)

    def _measure(self, state: EndpointHealth, outcome: AttemptOutcome, second: int) -> None:
        latency_s = (outcome.ttft_us or 0) / 1e6
        if not outcome.stream:
            state.add_response_time(latency_s, second)
            return
        state.add_ttft(latency_s, second)
        self._distances.add(outcome.endpoint, outcome.client_region, latency_s)
        tokens, duration_us = outcome.completion_tokens, outcome.duration_us
        # Without usage the throughput is unknown; with a count of 0 it is 0.
        if tokens is not None and duration_us:
            state.add_throughput(tokens / duration_us * 1e6, second)
