"""Export Prometheus metrics of the request log, refusals, failed policies, peer transports and hedged requests."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router_service.cluster.peers import PeerTransport
from router_service.execution.hedging import Hedging
from router_service.telemetry.log import RequestLog


class _WorkerCollector(Collector):
    def __init__(
        self,
        log: RequestLog,
        policy_failures: int,
        ways: Sequence[PeerTransport],
        hedging: Hedging | None,
        unrecorded_refusals: int,
    ) -> None:
        self._log = log
        self._unrecorded_refusals = unrecorded_refusals
        self._policy_failures = policy_failures
        self._ways = ways
        self._hedging = hedging

    def collect(self) -> list[Metric]:
        log, hedging = self._log, self._hedging
        failures = CounterMetricFamily(
            "sharing_failures", "Failed exchanges with other workers, and unreadable messages", labels=["way"]
        )
        working = GaugeMetricFamily("sharing_working", "1 while other workers can be reached", labels=["way"])
        for way in self._ways:
            failures.add_metric([way.name], way.failures)
            working.add_metric([way.name], float(way.working))
        found: list[Metric] = [
            CounterMetricFamily("log_records_written", "Records synced to a segment", value=log.written),
            CounterMetricFamily(
                "log_records_dropped",
                "Records lost because the queue was full, or because the disk was full at shutdown",
                value=log.dropped,
            ),
            GaugeMetricFamily("log_records_waiting", "Records in memory that are not on disk", value=log.waiting),
            CounterMetricFamily(
                "requests_unlogged", "Requests served while the log could not be written", value=log.unlogged
            ),
            CounterMetricFamily(
                "refusals_unrecorded",
                "Requests without a known key that were refused without a record, since too many came",
                value=self._unrecorded_refusals,
            ),
            CounterMetricFamily("log_write_failures", "Failed writes to a segment", value=log.failures),
            GaugeMetricFamily("log_healthy", "1 while the log can be written", value=float(log.healthy)),
            CounterMetricFamily(
                "policy_failures",
                "Failures of learned policies and of their decisions, which fell back to price shares",
                value=self._policy_failures,
            ),
            failures,
            working,
        ]
        if hedging is not None:
            found += [
                CounterMetricFamily("hedges_sent", "Hedged requests sent beside a slow call", value=hedging.sent),
                CounterMetricFamily("hedges_won", "Hedged requests whose response was used", value=hedging.won),
                CounterMetricFamily(
                    "hedges_refused", "Hedged requests that the budget did not allow", value=hedging.refused
                ),
                CounterMetricFamily(
                    "hedged_tokens", "Expected prompt and completion tokens of hedged requests", value=hedging.tokens
                ),
            ]
        return found


def render(
    log: RequestLog,
    policy_failures: int,
    ways: Sequence[PeerTransport],
    hedging: Hedging | None = None,
    *,
    unrecorded_refusals: int = 0,
) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_WorkerCollector(log, policy_failures, ways, hedging, unrecorded_refusals))
    return generate_latest(registry)
