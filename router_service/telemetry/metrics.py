"""Prometheus metrics of one worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router_service.telemetry.log import RequestLog


class _LogCollector(Collector):
    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def collect(self) -> list[Metric]:
        log = self._log
        return [
            CounterMetricFamily("log_records_written", "Records synced to a segment", value=log.written),
            CounterMetricFamily("log_records_dropped", "Records lost because the queue was full", value=log.dropped),
            CounterMetricFamily("log_write_failures", "Failed writes to a segment", value=log.failures),
            GaugeMetricFamily("log_healthy", "1 while the log can be written", value=float(log.healthy)),
        ]


def render(log: RequestLog) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry()
    registry.register(_LogCollector(log))
    return generate_latest(registry)
