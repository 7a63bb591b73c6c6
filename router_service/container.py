"""Build the objects of one router process and inject them into each package. No request is handled here."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import random
import time
from collections.abc import AsyncIterator

from data.catalogue import load_catalogue
from data.catalogue.configured import keep_configured
from data.catalogue.types import Catalogue
from data.lake import Lake
from data.worker_reports import SharingState, WorkerReport
from router_service.admission.admission import Admission
from router_service.admission.client_region import ClientRegions
from router_service.admission.constraint_resolver import ConstraintResolver
from router_service.admission.hosts import RegionalHosts
from router_service.admission.keys import KeyStore, open_database
from router_service.admission.refusals import KeyRefusals
from router_service.affinity.listener import AffinityListener
from router_service.affinity.sticky import StickyTable
from router_service.api.analytics_forwarder import AnalyticsForwarder
from router_service.api.asgi import ArrivingBodies
from router_service.api.cross_origin import CrossOrigin
from router_service.api.services import Services
from router_service.cluster.journal import JournalTransport
from router_service.cluster.peers import PeerTransport
from router_service.cluster.sharing import StateSharing
from router_service.configuration.live import InForce, LiveConfiguration
from router_service.configuration.market import Market
from router_service.core.preferences import Preferences
from router_service.execution.deadlines import MeasuredDeadlines, Timeouts
from router_service.execution.dispatch import Dispatcher
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeListener, OutcomeReporter
from router_service.execution.prompt_caches import PromptCaches
from router_service.health import Health
from router_service.health.live_statistics import LiveStatistics
from router_service.middleware.middleware import load_middleware
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from router_service.providers.credentials import Credentials
from router_service.providers.formats import TAKES_DATA_ALONE, TASK_FORMATS, wire_formats
from router_service.settings import Settings
from router_service.telemetry.categories import RequestLabeller
from router_service.telemetry.key_usage import KeyUsageReader
from router_service.telemetry.log import RequestLog
from router_service.telemetry.model_usage import ModelUsageReader
from router_service.telemetry.record_appender import RecordAppender
from router_service.telemetry.sealer import Sealer
from router_service.telemetry.worker_board import WorkerBoard
from router_service.tool_calls.check import ToolCallChecker
from router_service.upstream.client import ClientName, open_client, select_client
from router_service.upstream.fetcher import MediaFetcher
from router_service.upstream.transport import Transport

logger = logging.getLogger(__name__)

POLICY_POLL_S = 2.0
# Settings that a changed file brings into force at once; the others belong to what is built at the start.
HOT = frozenset(
    {
        "allow_aggregators", "answer_timeout", "auto_exacto", "client_region_header", "client_regions",
        "data_collection", "data_region", "enforce_distillable_text", "fetch_hosts", "fetch_max_bytes",
        "fetch_max_media", "fetch_networks", "fetch_ports", "fetch_timeout", "keepalive_interval", "lab_url",
        "learned_share", "max_body_bytes", "provider_urls", "regional_hosts", "stall_timeout", "strategy",
        "total_timeout", "trusted_proxies", "ttft_timeout", "usd_per_failure", "usd_per_second", "zdr",
    }
)  # fmt: skip


class Container:
    """Hold ``services``, which the handlers use, and the background tasks. ``running`` opens the files.

    ``adopt`` takes over another configuration while requests are served: those in flight keep the objects that they
    began with. Raises ``ConfigurationError`` for a file that is not valid.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue | None = None) -> None:
        self.live = LiveConfiguration(settings, catalogue or load_catalogue())
        settings, market = self.live.in_force
        self._settings = settings
        self._late: list[str] = []
        self._clients: dict[ClientName, Transport] = {}
        lake = Lake(settings.data_dir).create()
        health, statistics = Health(), LiveStatistics()
        hedging = _hedging(settings, health)
        sticky = StickyTable(health)
        policies = PolicyStore(lake)
        peers = peers_of(lake, settings)
        self.sharing = StateSharing(health, sticky, peers, reachable=_ids(market), statistics=statistics)
        self._affinity = AffinityListener(sticky, market.endpoints)
        listeners: list[OutcomeListener] = [health, statistics, self._affinity]
        if hedging is not None:
            listeners.append(hedging)
        credentials = Credentials(lab=bool(settings.lab_url), accounts=market.accounts)
        outcomes = OutcomeReporter(listeners, on_begin=[statistics.begin])
        measured_deadlines = MeasuredDeadlines(health)
        resolver = ConstraintResolver(installation_preferences(settings))
        keys = KeyStore(open_database(lake.database))
        self.services = Services(
            worker=f"{os.uname().nodename}-{os.getpid()}",
            catalogue=market.catalogue,
            endpoints=market.endpoints,
            lake=lake,
            admission=_admission(settings, keys, resolver),
            planner=_planner(settings, market, resolver, health, policies, statistics),
            policies=policies,
            sticky=sticky,
            outcomes=outcomes,
            health=health,
            statistics=statistics,
            measured_deadlines=measured_deadlines,
            hedging=hedging,
            credentials=credentials,
            middleware=load_middleware(settings.middleware),
            dispatcher=Dispatcher(
                health=health,
                outcomes=outcomes,
                hedging=hedging,
                timeouts=_timeouts(settings),
                measured_deadlines=measured_deadlines,
                credentials=credentials,
                formats=wire_formats(),
                task_formats=TASK_FORMATS,
                data_alone=TAKES_DATA_ALONE,
                fetcher=MediaFetcher(settings.fetch_rules),
                caches=PromptCaches() if settings.make_prompt_caches else None,
            ),
            tool_calls=ToolCallChecker(),
            categoriser=RequestLabeller(
                settings.category_share, lake, settings.category_classifier, asked=settings.model_labelling
            ),
            key_usage=KeyUsageReader(lake),
            model_usage=ModelUsageReader(lake),
            peers=peers,
            timeouts=_timeouts(settings),
            max_body_bytes=settings.max_body_bytes,
            arriving=ArrivingBodies(settings.max_arriving_bytes),
            refusals=KeyRefusals(),
            analytics=AnalyticsForwarder(settings.analytics_url, settings.analytics_token.get_secret_value()),
            log_required=settings.log_required,
            cross_origin=CrossOrigin(settings.cors_origins),
            keepalive_interval_s=settings.keepalive_interval,
            random=random.Random(),  # seeded by the system
        )

    def adopt(self, made: InForce) -> None:
        """Serve the next requests with ``made``, and keep its catalogue in the lake."""
        self._take(made)
        asyncio.get_running_loop().run_in_executor(None, self._keep_catalogue)

    def _take(self, made: InForce) -> None:
        """Serve the next requests with ``made``; a setting that needs a restart is named in the log."""
        settings, market = made
        services, before = self.services, self._settings
        late = sorted(
            name
            for name in Settings.model_fields
            if name not in HOT and getattr(settings, name) != getattr(before, name)
        )
        if late and late != self._late:
            logger.warning("changed settings that take effect at the next start: %s", ", ".join(late))
        self._late = late
        resolver = ConstraintResolver(installation_preferences(settings))
        services.credentials.adopt(market.accounts)
        self.sharing.reachable = _ids(market)
        self._affinity.adopt(market.endpoints)
        services.admission = _admission(settings, services.admission.keys, resolver)
        services.planner = _planner(settings, market, resolver, services.health, services.policies, services.statistics)
        known = services.addresses()
        services.catalogue, services.endpoints = market.catalogue, market.endpoints
        if services.addresses() - known:
            self._open_client()
        services.timeouts = _timeouts(settings)
        fetcher, rules = services.dispatcher.fetcher, settings.fetch_rules
        if rules != fetcher.rules:
            fetcher = MediaFetcher(rules)
        dispatcher = dataclasses.replace(services.dispatcher, timeouts=services.timeouts, fetcher=fetcher)
        dispatcher.upstream = services.upstream
        services.dispatcher = dispatcher
        services.max_body_bytes, services.keepalive_interval_s = settings.max_body_bytes, settings.keepalive_interval

    def _keep_catalogue(self) -> None:
        catalogue = self.services.catalogue
        keep_configured(self.services.lake, None if catalogue is self.live.catalogue else catalogue)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the log and the connections; on exit drain and close both."""
        settings, services = self._settings, self.services
        services.policies.poll()
        services.log = RequestLog(
            services.lake,
            services.worker,
            sync=settings.log_sync,
            when_full=settings.log_when_full,
            drain_seconds=settings.log_drain_timeout,
            reserve_bytes=settings.log_reserve_bytes,
        )
        at_once = settings.log_sync == "always"
        services.records = RecordAppender(services.log, services.worker, at_once=at_once)
        services.workers = WorkerBoard(services.lake, self._report)
        self._open_client()
        services.dispatcher.upstream = services.upstream
        await self.live.start(self._take)
        await asyncio.to_thread(self._keep_catalogue)
        sealer = Sealer(services.lake)
        watches = [services.admission.keys.watch(), _poll(services.policies), self.sharing.run(), sealer.watch()]
        watches += [self.live.watch(self.adopt), services.workers.watch()]
        tasks = [asyncio.create_task(watch) for watch in watches]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await asyncio.to_thread(self.sharing.close)
                await services.analytics.close()
                for client in self._clients.values():
                    await client.close()
                services.categoriser.close()
            finally:
                # Records in memory are written even if an earlier step of the shutdown fails.
                services.records.flush()
                await asyncio.to_thread(services.log.close)
                await asyncio.to_thread(services.workers.write)
                await asyncio.to_thread(sealer.stop)

    def _report(self) -> WorkerReport:
        """Return what this worker has counted."""
        services, log = self.services, self.services.log
        policy, hedging = services.policies.current, services.hedging
        return WorkerReport(
            worker=services.worker,
            pid=os.getpid(),
            at=time.monotonic(),
            log_healthy=log.healthy,
            written=log.written,
            dropped=log.dropped,
            waiting=log.waiting,
            unlogged=log.unlogged,
            write_failures=log.failures,
            refusals_unrecorded=services.refusals.unrecorded,
            policy_failures=services.policies.failures,
            policy_version=policy.version if policy else None,
            catalogue_version=services.catalogue.version,
            keys_known=services.admission.keys.count,
            keys_stale_reads=services.admission.keys.stale,
            outages=sorted(services.health.outages),
            sharing={way.name: SharingState(way.failures, way.working) for way in services.peers},
            hedges=None if hedging is None else (hedging.sent, hedging.won, hedging.refused, hedging.tokens),
        )

    def _open_client(self) -> None:
        """Use the HTTP client that the endpoints' addresses need; another one ends what it has begun."""
        settings = self._settings
        name = select_client(settings.upstream_client, self.services.addresses())
        if name not in self._clients:
            self._clients[name] = open_client(name, settings.connect_timeout, settings.max_event_bytes)
        self.services.upstream = self._clients[name]
        self.services.credentials.connect(self.services.upstream.send)


async def _poll(policies: PolicyStore) -> None:
    while True:
        await asyncio.to_thread(policies.poll)
        await asyncio.sleep(POLICY_POLL_S)


def _hedging(settings: Settings, health: Health) -> Hedging | None:
    if not settings.hedge_share:
        return None
    return Hedging(settings.hedge_share, health, settings.hedge_burst_tokens)


def installation_preferences(settings: Settings) -> Preferences:
    """Return the constraints that the deployment sets for every request."""
    return Preferences(
        data_collection=settings.data_collection,
        zdr=settings.zdr,
        enforce_distillable_text=settings.enforce_distillable_text,
        region=settings.data_region,
    )


def peers_of(lake: Lake, settings: Settings) -> list[PeerTransport]:
    """Return the transports to workers on this machine and, if a Valkey server is configured, on other machines."""
    found: list[PeerTransport] = [JournalTransport(lake.health)]
    if settings.valkey_url:
        # Importing the library takes 27 MB and 0.4 s, so it is imported only where it is used.
        from router_service.cluster.valkey_stream import ValkeyTransport

        found.append(ValkeyTransport(settings.valkey_url.get_secret_value(), settings.valkey_prefix))
    return found


def _ids(market: Market) -> frozenset[str]:
    return frozenset(endpoint.id for offers in market.endpoints.values() for endpoint in offers)


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(settings.ttft_timeout, settings.answer_timeout, settings.stall_timeout, settings.total_timeout)


def _admission(settings: Settings, keys: KeyStore, resolver: ConstraintResolver) -> Admission:
    regions = ClientRegions(settings.client_region_header, settings.client_regions, settings.trusted_proxies)
    return Admission(keys, resolver, RegionalHosts(settings.regional_hosts), regions)


def _planner(
    settings: Settings,
    market: Market,
    resolver: ConstraintResolver,
    health: Health,
    policies: PolicyStore,
    statistics: LiveStatistics,
) -> Planner:
    return Planner(
        market.catalogue,
        market.endpoints,
        health,
        policies,
        settings.learned_share,
        strategy=settings.strategy,
        auto_exacto=settings.auto_exacto,
        installation=resolver.installation,
        statistics=statistics,
        weights=settings.utility_weights,
        clock=time.monotonic,
    )
