"""Learn the health of endpoints from the outcomes of calls and from other workers' reports."""

from __future__ import annotations

import time
from collections.abc import Callable

from data.record.attempt import AttemptOutcome
from models.selection.decision.outcome import UNINFORMATIVE_ERRORS
from router_service.core.errors import MAX_RETRY_AFTER_S
from router_service.core.exchange import Exchange
from router_service.health.endpoint_health import EndpointHealth
from router_service.health.endpoint_table import EndpointTable
from router_service.health.hang_detection import is_hanging
from router_service.health.messages import HealthReport
from router_service.health.plan_state import per_minute
from router_service.health.reader import HealthReader
from router_service.health.tracked_calls import AwaitingCalls, TrackedCall
from router_service.health.windows import FAILURE, RATE_LIMITED, UNCOUNTED

INTERVAL_S = 0.25
# Older outcomes of other workers are counted in the windows, but neither breaker nor capacity reacts to them.
RECENT_S = 30.0


class Health(HealthReader):
    """Learn the health of one process's endpoints. Used from one thread.

    ``report`` is the one inlet of outcomes. ``track`` follows calls in flight, to detect hangs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._with_calls: set[EndpointHealth] = set()
        self._due = self._grading_due = float("-inf")

    def report(self, outcome: AttemptOutcome, _exchange: Exchange | None = None) -> None:
        """Count how a call ended, and the tokens and tool calls of its response."""
        ended = outcome.ended
        answered = ended == "answered"
        if answered or outcome.prompt_tokens:
            self._responses.add(outcome, answered=answered)
        if ended == "failed":
            self._responses.flush()
            if outcome.error_type == "rate_limit_exceeded":
                self._count_429(outcome)
            elif outcome.error_type in UNINFORMATIVE_ERRORS:
                self._count_uncounted(outcome)
            else:
                self._count_failure(outcome)
        elif ended == "lost":
            self._count_hedge_loser(outcome)
        elif not answered:
            self._release_probe(outcome.endpoint)
        if outcome.judged_tool_calls:
            now = self._clock()
            state = self._table.by_id.get(outcome.endpoint) or self._table.create(outcome.endpoint, now)
            state.quality_at(int(now)).add_tool_calls(outcome.tool_call_fault is not None, int(now))
            self._table.mark_changed(state)

    def track(self, endpoint: str, *, stream: bool, allowance_s: float = 0.0) -> TrackedCall:
        """Follow a call from now until ``untrack``; ``allowance_s`` is the time that its prompt takes everywhere."""
        now = self._clock()
        state = self._table.by_id.get(endpoint) or self._table.create(endpoint, now)
        call = TrackedCall(endpoint, now, allowance_s, stream)
        awaiting = state.awaiting
        if awaiting is None:
            awaiting = state.awaiting = AwaitingCalls()
        awaiting.calls.add(call)
        self._with_calls.add(state)
        return call

    def untrack(self, call: TrackedCall, *, answered: bool) -> None:
        """Follow ``call`` no longer: it has its first token or its non-streaming response, or will have none."""
        state = self._table.by_id[call.endpoint]
        awaiting = state.awaiting
        assert awaiting is not None  # made by ``track``
        awaiting.calls.discard(call)
        if answered:
            awaiting.answered_at = now = self._clock()
            if state.breaker.record_response(now):
                self._table.review(state, now)

    def try_acquire(self, endpoint: str) -> bool:
        """Return whether a call may go now; ask right before each call.

        It is false while another call probes a recovering endpoint: try the next endpoint then.
        """
        state = self._plan_state.watched.get(endpoint)
        if state is None:
            return True
        now = self._clock()
        allowed = state.breaker.try_acquire(now)
        self._table.review(state, now)
        return allowed

    def refresh(self) -> int:
        """Apply what the passing of time changes, grade changed endpoints and return ``epoch``.

        Between intervals of ``INTERVAL_S`` it costs almost nothing.
        """
        now = self._clock()
        if now >= self._due:
            self._due = now + INTERVAL_S
            self._responses.flush()
            self._eject_hanging(now)
            self._plan_state.review_watched(now)
            if now >= self._grading_due:
                self._grading_due = now + 1.0
                self._table.grade(now)
        return self._plan_state.epoch

    def drain(self, now: float) -> list[HealthReport]:
        """Return the reports of what happened since the last call, for the other workers."""
        self._responses.flush()
        return self._table.drain_reports(now)

    def receive(self, report: HealthReport, at: float, now: float) -> None:
        """Merge what another worker observed until ``at``, in seconds of the clock."""
        self._responses.flush()
        _merge_report(self._table, report, at, now)

    def _count_429(self, outcome: AttemptOutcome) -> None:
        now, retry_after_s = self._clock(), outcome.retry_after_s
        second = int(now)
        state = self._table.count(outcome.endpoint, RATE_LIMITED, now)
        state.breaker.release_probe()
        if retry_after_s is not None:
            hint_s = MAX_RETRY_AFTER_S if retry_after_s > MAX_RETRY_AFTER_S else retry_after_s
            (state.quality or state.quality_at(second)).add_retry_after(hint_s, second)
        counts = state.windows.totals("30s", second)
        if state.capacity.record_429(now, retry_after_s):
            state.capacity.decrease(now, per_minute(counts.accepted))
        self._plan_state.review(state, now, counts)

    def _count_uncounted(self, outcome: AttemptOutcome) -> None:
        """Count an error that judges the request and not the endpoint."""
        now = self._clock()
        state = self._table.count(outcome.endpoint, UNCOUNTED, now)
        state.capacity.record_accepted()
        state.breaker.release_probe()
        if outcome.endpoint in self._plan_state.watched:
            self._table.review(state, now)

    def _count_failure(self, outcome: AttemptOutcome) -> None:
        now = self._clock()
        state = self._table.count(outcome.endpoint, FAILURE, now)
        counts = state.windows.totals("30s", int(now))
        # A stream that broke says something about now, whenever it began.
        began = now if outcome.ttft_us else now - (outcome.ended_s - outcome.began_s)
        if state.breaker.predates_ejection(began):
            state.unsent_outdated += 1
        else:
            timeout = outcome.error_type == "timeout"
            state.unsent_timeouts += timeout
            state.breaker.record_failure(now, counts.success, counts.failure, timeouts=timeout)
        if outcome.retry_after_s is not None:
            state.capacity.pause(now, outcome.retry_after_s)
        self._plan_state.review(state, now, counts)

    def _release_probe(self, endpoint: str) -> None:
        """Allow another probe: a call ended without an outcome, for instance because its client cancelled it."""
        state = self._plan_state.watched.get(endpoint)
        if state is not None:
            state.breaker.release_probe()
            self._table.review(state, self._clock())

    def _count_hedge_loser(self, outcome: AttemptOutcome) -> None:
        """Count a call that had no first token when another's came: it is neither success nor failure.

        Its true latency is longer by an unknown time. It is counted as at least the running mean, because leaving it
        out would make an endpoint look quick whose slow calls are always cut.
        """
        state = self._find(outcome.endpoint)
        if state is None:
            return
        second, elapsed_s = int(self._clock()), (outcome.duration_us or 0) / 1e6
        if outcome.stream:
            state.add_ttft(max(elapsed_s, state.ttft_s or 0.0), second)
        else:
            state.add_response_time(elapsed_s, second)

    def _eject_hanging(self, now: float) -> None:
        """Eject the endpoints that hang, and let the other workers know."""
        for state in tuple(self._with_calls):
            if state.awaiting is None or not state.awaiting.calls:
                self._with_calls.discard(state)
            elif not state.breaker.tripped and is_hanging(state, now):
                state.breaker.eject_hanging(now)
                self._table.mark_changed(state)
                self._table.review(state, now)


def _merge_report(table: EndpointTable, report: HealthReport, at: float, now: float) -> None:
    """Count what another worker observed until ``at``, and follow its ejections, probes and pauses.

    ``at`` and ``now`` are seconds of this machine's monotonic clock, ``at`` not later than ``now``.
    """
    state = table.by_id.get(report.endpoint) or table.create(report.endpoint, now)
    second = int(now)
    state.windows.merge(report.counts, int(at), second)
    state.capacity.count_sent(sum(report.counts))
    if report.quality is not None:
        state.quality_at(second).merge(report.quality, int(at), second)
    table.mark_ungraded(state)
    breaker, capacity = state.breaker, state.capacity
    counts = state.windows.totals("30s", second)
    breaker.follow_peer(report.ejected_until, report.ejections, now)
    if report.probe_until > now:
        breaker.yield_probe(report.probe_until, now)
    capacity.follow_peer(report.retry_until, now)
    if now - at < RECENT_S:
        if report.success:
            capacity.record_accepted()
            breaker.record_success(now, report.success)
        failures = report.failure - report.outdated
        if failures > 0:
            breaker.record_failure(now, counts.success, counts.failure, failures, min(report.timeouts, failures))
        if report.rate_limited and capacity.record_429(now):
            capacity.decrease(now, per_minute(counts.accepted))
    table.plan_state.review(state, now, counts)
