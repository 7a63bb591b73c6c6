"""Build the objects of one router process and inject them into each package. No request is handled here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator

import msgspec

from data.catalogue import load_catalogue
from data.catalogue.types import Catalogue, Endpoint
from data.lake import Lake
from router_service.admission.admission import Admission
from router_service.admission.client_region import ClientRegions
from router_service.admission.constraint_resolver import ConstraintResolver
from router_service.admission.hosts import RegionalHosts
from router_service.admission.keys import KeyStore, open_database
from router_service.affinity.listener import AffinityListener
from router_service.affinity.sticky import StickyTable
from router_service.api.cross_origin import CrossOrigin
from router_service.api.services import Services
from router_service.cluster.journal import JournalTransport
from router_service.cluster.peers import PeerTransport
from router_service.cluster.sharing import StateSharing
from router_service.core.preferences import Preferences
from router_service.execution.deadlines import MeasuredDeadlines, Timeouts
from router_service.execution.dispatch import Dispatcher
from router_service.execution.hedging import Hedging
from router_service.execution.outcome_reporter import OutcomeListener, OutcomeReporter
from router_service.health import Health
from router_service.health.live_statistics import LiveStatistics
from router_service.middleware.middleware import load_middleware
from router_service.planning.planner import Planner
from router_service.planning.policy_store import PolicyStore
from router_service.providers.credentials import Credentials
from router_service.providers.formats import FORMATS, with_supported_parameters
from router_service.settings import Settings
from router_service.telemetry.categories import RequestLabeller
from router_service.telemetry.key_usage import KeyUsageReader
from router_service.telemetry.log import RequestLog
from router_service.telemetry.lookup import RecentRecords
from router_service.telemetry.model_usage import ModelUsageReader
from router_service.telemetry.sealer import Sealer
from router_service.tool_calls.check import ToolCallChecker
from router_service.upstream.client import open_client, select_client

POLICY_POLL_S = 2.0


class Container:
    """Hold ``services``, which the handlers use, and the background tasks. ``running`` opens the files."""

    def __init__(self, settings: Settings, catalogue: Catalogue | None = None) -> None:
        self._settings = settings
        catalogue = catalogue or load_catalogue()
        endpoints = usable_endpoints(catalogue, settings)
        lake = Lake(settings.data_dir).create()
        health, statistics = Health(), LiveStatistics()
        hedging = _hedging(settings, catalogue, health)
        sticky = StickyTable(health)
        policies = PolicyStore(lake)
        resolver = ConstraintResolver(installation_preferences(settings))
        peers = peers_of(lake, settings)
        reachable = {endpoint.id for offers in endpoints.values() for endpoint in offers}
        self.sharing = StateSharing(health, sticky, peers, reachable=reachable, statistics=statistics)
        listeners: list[OutcomeListener] = [health, statistics, AffinityListener(sticky, endpoints)]
        if hedging is not None:
            listeners.append(hedging)
        outcomes = OutcomeReporter(listeners, on_begin=[statistics.begin])
        measured_deadlines = MeasuredDeadlines(health)
        timeouts = Timeouts(
            settings.ttft_timeout, settings.answer_timeout, settings.stall_timeout, settings.total_timeout
        )
        credentials = Credentials(lab=bool(settings.lab_url))
        self.services = Services(
            worker=f"{os.uname().nodename}-{os.getpid()}",
            catalogue=catalogue,
            endpoints=endpoints,
            lake=lake,
            admission=Admission(
                KeyStore(open_database(lake.database)),
                resolver,
                RegionalHosts(settings.regional_hosts),
                ClientRegions(settings.client_region_header, settings.client_regions, settings.trusted_proxies),
            ),
            planner=Planner(
                catalogue,
                endpoints,
                health,
                policies,
                settings.learned_share,
                strategy=settings.strategy,
                auto_exacto=settings.auto_exacto,
                installation=resolver.installation,
                statistics=statistics,
                weights=settings.utility_weights,
                clock=time.monotonic,
            ),
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
                timeouts=timeouts,
                measured_deadlines=measured_deadlines,
                credentials=credentials,
                formats=FORMATS,
            ),
            tool_calls=ToolCallChecker(),
            categoriser=RequestLabeller(settings.category_share),
            recent=RecentRecords(),
            key_usage=KeyUsageReader(lake),
            model_usage=ModelUsageReader(lake),
            peers=peers,
            timeouts=timeouts,
            max_body_bytes=settings.max_body_bytes,
            cross_origin=CrossOrigin(settings.cors_origins),
            keepalive_interval_s=settings.keepalive_interval,
            random=random.Random(),  # seeded by the system
        )

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
        urls = {offer.base_url for offers in services.endpoints.values() for offer in offers if offer.base_url}
        client = select_client(settings.upstream_client, urls)
        services.upstream = open_client(client, settings.connect_timeout, settings.max_event_bytes)
        services.dispatcher.upstream = services.upstream
        sealer = Sealer(services.lake)
        watches = (services.admission.keys.watch(), _poll(services.policies), self.sharing.run(), sealer.watch())
        tasks = [asyncio.create_task(watch) for watch in watches]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await asyncio.to_thread(self.sharing.close)
                await services.upstream.close()
                services.categoriser.close()
            finally:
                # Records in memory are written even if an earlier step of the shutdown fails.
                await asyncio.to_thread(services.log.close)
                await asyncio.to_thread(sealer.stop)


async def _poll(policies: PolicyStore) -> None:
    while True:
        await asyncio.to_thread(policies.poll)
        await asyncio.sleep(POLICY_POLL_S)


def _hedging(settings: Settings, catalogue: Catalogue, health: Health) -> Hedging | None:
    if not settings.hedge_share:
        return None
    uncancellable = frozenset(p.slug for p in catalogue.providers.values() if not p.supports_cancellation)
    return Hedging(settings.hedge_share, health, uncancellable, settings.hedge_burst_tokens)


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


def usable_endpoints(catalogue: Catalogue, settings: Settings) -> dict[str, tuple[Endpoint, ...]]:
    """Return the endpoints with a provider key in the environment; with a lab, return all endpoints.

    Their supported parameters are those that reach the model through the wire format.
    """
    usable: dict[str, tuple[Endpoint, ...]] = {}
    for model, endpoints in catalogue.endpoints.items():
        kept = []
        for endpoint in endpoints:
            if endpoint.price is None:
                continue
            if endpoint.disabled_reason == "aggregator" and settings.allow_aggregators:
                endpoint = msgspec.structs.replace(endpoint, enabled=True, disabled_reason=None)
            if not endpoint.enabled:
                continue
            own = settings.provider_urls.get(endpoint.provider, "").rstrip("/")
            if settings.lab_url:
                base = own or f"{settings.lab_url.rstrip('/')}/{endpoint.provider}/v1"
                kept.append(msgspec.structs.replace(endpoint, base_url=base))
            elif own and any(os.environ.get(name) for name in endpoint.key_env):
                kept.append(msgspec.structs.replace(endpoint, base_url=own))
            elif endpoint.base_url and any(os.environ.get(name) for name in endpoint.key_env):
                kept.append(endpoint)
        usable[model] = tuple(with_supported_parameters(endpoint) for endpoint in kept)
    return usable
