"""Merge what other workers report about endpoints."""

from __future__ import annotations

from router_service.health.endpoint_table import EndpointTable
from router_service.health.messages import HealthReport
from router_service.health.plan_state import per_minute

# Older outcomes are counted in the windows, but neither breaker nor capacity reacts to them.
RECENT_S = 30.0


def merge_report(table: EndpointTable, report: HealthReport, at: float, now: float) -> None:
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
