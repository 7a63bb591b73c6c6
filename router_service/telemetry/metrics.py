"""Prometheus metrics of one worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router_service.telemetry.log import RequestLog


class _LogCollector(Collector):
    def __init__(self, log: RequestLog, policy_failures: int) -> None:
        self._log = log
        self._policy_failures = policy_failures

    def collect(self) -> list[Metric]:
        log = self._log
        return [
            CounterMetricFamily("log_records_written", "Records synced to a segment", value=log.written),
            CounterMetricFamily("log_records_dropped", "Records lost because the queue was full", value=log.dropped),
            CounterMetricFamily("log_write_failures", "Failed writes to a segment", value=log.failures),
            GaugeMetricFamily("log_healthy", "1 while the log can be written", value=float(log.healthy)),
            CounterMetricFamily(
                "policy_failures",
                "Policies and decisions of them given up for price shares",
                value=self._policy_failures,
            ),
        ]


def render(log: RequestLog, policy_failures: int) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry()
    registry.register(_LogCollector(log, policy_failures))
    return generate_latest(registry)
