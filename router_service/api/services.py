"""Declare the objects that the API's handlers use. The container builds them once per process."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import Request

from data.catalogue.types import Catalogue, Endpoint
from data.lake import Lake
from router_service.admission.admission import Admission
from router_service.admission.keys import Key
from router_service.admission.refusals import KeyRefusals
from router_service.affinity.sticky import StickyTable
from router_service.api.analytics_forwarder import AnalyticsForwarder
from router_service.api.asgi import ArrivingBodies
from router_service.api.cross_origin import CrossOrigin
from router_service.cluster.peers import PeerTransport
from router_service.execution.deadlines import MeasuredDeadlines, Timeouts
from router_service.execution.dispatch import Dispatcher
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.health import Health
from router_service.health.live_statistics import LiveStatistics
from router_service.middleware.middleware import Middleware
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from router_service.providers.credentials import Credentials
from router_service.telemetry.categories import RequestLabeller
from router_service.telemetry.key_usage import KeyUsageReader
from router_service.telemetry.log import RequestLog
from router_service.telemetry.model_usage import ModelUsageReader
from router_service.telemetry.record_appender import RecordAppender
from router_service.telemetry.worker_board import WorkerBoard
from router_service.tool_calls.check import ToolCallChecker
from router_service.upstream.transport import Transport


@dataclass(slots=True, kw_only=True)
class Services:
    """Hold the objects of one router process. ``log`` and ``upstream`` are set while the application runs."""

    worker: str
    catalogue: Catalogue
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    lake: Lake
    admission: Admission
    planner: Planner
    policies: PolicyStore
    sticky: StickyTable
    outcomes: OutcomeReporter
    health: Health
    statistics: LiveStatistics
    measured_deadlines: MeasuredDeadlines
    hedging: Hedging | None
    credentials: Credentials
    dispatcher: Dispatcher
    middleware: Sequence[Middleware]
    tool_calls: ToolCallChecker
    categoriser: RequestLabeller
    key_usage: KeyUsageReader
    model_usage: ModelUsageReader
    peers: Sequence[PeerTransport]
    timeouts: Timeouts
    max_body_bytes: int
    arriving: ArrivingBodies
    log_required: bool
    refusals: KeyRefusals
    analytics: AnalyticsForwarder
    cross_origin: CrossOrigin
    keepalive_interval_s: float
    random: random.Random
    log: RequestLog = field(init=False)
    workers: WorkerBoard = field(init=False)
    records: RecordAppender = field(init=False)
    upstream: Transport = field(init=False)

    def addresses(self) -> set[str]:
        """Return the base URLs of all endpoints."""
        return {offer.base_url for offers in self.endpoints.values() for offer in offers if offer.base_url}


def services_of(request: Request) -> Services:
    """Return the services of the application that serves ``request``. A FastAPI dependency."""
    found: Services = request.app.state.services
    return found


async def require_key(request: Request) -> Key:
    """Return the caller's key. A FastAPI dependency; raises as ``Admission.authenticate`` does."""
    return await services_of(request).admission.authenticate(dict(request.scope["headers"]))
