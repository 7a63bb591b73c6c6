"""Export Prometheus metrics of all workers of a server."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from data.worker_reports import WorkerReport
from router_service.telemetry.worker_board import ServerState

# Counters by the field of ``WorkerReport`` that they add up.
_COUNTERS = (
    ("log_records_written", "written", "Records synced to a segment"),
    (
        "log_records_dropped",
        "dropped",
        "Records lost because the queue was full, or because the disk was full at shutdown",
    ),
    ("requests_unlogged", "unlogged", "Requests served while the log could not be written"),
    (
        "refusals_unrecorded",
        "refusals_unrecorded",
        "Requests without a known key that were refused without a record, since too many came",
    ),
    ("log_write_failures", "write_failures", "Failed writes to a segment"),
    (
        "policy_failures",
        "policy_failures",
        "Failures of learned policies and of their decisions, which fell back to price shares",
    ),
)
_HEDGES = (
    ("hedges_sent", "Hedged requests sent beside a slow call"),
    ("hedges_won", "Hedged requests whose response was used"),
    ("hedges_refused", "Hedged requests that the budget did not allow"),
    ("hedged_tokens", "Expected prompt and completion tokens of hedged requests"),
)


class _ServerCollector(Collector):
    """Counters add up over all workers, also those that have ended. Gauges speak for the workers that run."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def collect(self) -> list[Metric]:
        running, counted = self._state.running, self._state.all
        waiting = sum(one.waiting for one in running)
        healthy = all(one.log_healthy for one in running)
        found: list[Metric] = [
            CounterMetricFamily(name, text, value=sum(getattr(one, field) for one in counted))
            for name, field, text in _COUNTERS
        ]
        found += [
            GaugeMetricFamily("log_records_waiting", "Records in memory that are not on disk", value=waiting),
            GaugeMetricFamily("log_healthy", "1 while every worker can write its log", value=float(healthy)),
            self._workers(),
            *_sharing(running, counted),
        ]
        hedges = [one.hedges for one in counted if one.hedges is not None]
        if hedges:
            found += [
                CounterMetricFamily(name, text, value=sum(one[place] for one in hedges))
                for place, (name, text) in enumerate(_HEDGES)
            ]
        return found

    def _workers(self) -> Metric:
        found = GaugeMetricFamily(
            "worker_up", "1 for a worker that runs, 0 while it reports nothing", labels=["worker"]
        )
        for one in self._state.running:
            found.add_metric([one.worker], float(one.worker not in self._state.silent))
        return found


def _sharing(running: Iterable[WorkerReport], counted: Iterable[WorkerReport]) -> list[Metric]:
    failures = CounterMetricFamily(
        "sharing_failures", "Failed exchanges with other workers, and unreadable messages", labels=["way"]
    )
    working = GaugeMetricFamily("sharing_working", "1 while every worker can reach other workers", labels=["way"])
    failed: dict[str, int] = {}
    for one in counted:
        for way, state in one.sharing.items():
            failed[way] = failed.get(way, 0) + state.failures
    for way, count in failed.items():
        failures.add_metric([way], count)
    for way in dict.fromkeys(way for one in running for way in one.sharing):
        states = [one.sharing[way].working for one in running if way in one.sharing]
        working.add_metric([way], float(all(states)))
    return [failures, working]


def render(state: ServerState) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_ServerCollector(state))
    return generate_latest(registry)
