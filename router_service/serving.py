"""What one router process holds: catalogue, health, plans, keys, upstream connections, the log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator

import msgspec

from data.catalogue import load_catalogue
from data.catalogue.types import Catalogue, Endpoint
from data.lake import Lake
from data.schema import encode_record
from router_service.accounting.usage import UsageReader
from router_service.admission.keys import KeyStore, open_database
from router_service.exchange import Exchange
from router_service.routing.deadlines import UsualLatency
from router_service.routing.health import Health
from router_service.routing.learned import PolicyStore
from router_service.routing.planner import Planner
from router_service.routing.preferences import Defaults
from router_service.routing.remembering import Remembering
from router_service.routing.sharing.journal import JournalPeers
from router_service.routing.sharing.peers import Peers
from router_service.routing.sharing.sharing import Sharing
from router_service.routing.sticky import Sticky
from router_service.settings import Settings
from router_service.telemetry.categories import Categoriser
from router_service.telemetry.log import RequestLog
from router_service.telemetry.lookup import Recent
from router_service.telemetry.sealer import Sealer
from router_service.upstream.client import open_client
from router_service.upstream.interface import UpstreamClient


class Serving:
    """Built once per process, before the first request. Files are opened by ``running``."""

    def __init__(self, settings: Settings, catalogue: Catalogue | None = None) -> None:
        self.settings = settings
        self.catalogue = catalogue or load_catalogue()
        self.endpoints = usable_endpoints(self.catalogue, settings)
        self.lake = Lake(settings.data_dir).create()
        self.keys = KeyStore(open_database(self.lake.database))
        self.health = Health()
        self.usual = UsualLatency(self.health)
        self.policies = PolicyStore(self.lake)
        self.planner = Planner(
            self.catalogue,
            self.endpoints,
            self.health,
            self.policies,
            settings.learned_share,
            strategy=settings.strategy,
            auto_exacto=settings.auto_exacto,
            defaults=Defaults(settings.data_collection, settings.zdr),
        )
        self.sticky = Sticky(self.health)
        self._remembering = Remembering(self.sticky, self.endpoints)
        reachable = {endpoint.id for offers in self.endpoints.values() for endpoint in offers}
        self.sharing = Sharing(self.health, self.sticky, ways(self.lake, settings), reachable=reachable)
        self.worker = f"{os.uname().nodename}-{os.getpid()}"
        self.recent = Recent()
        self.usage = UsageReader(self.lake)
        self.categoriser = Categoriser(settings.category_share)
        self.random = random.Random()  # seeded by the system
        self.log: RequestLog
        self.upstream: UpstreamClient

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the log and connections; on the way out drain and close both."""
        settings = self.settings
        self.policies.poll()
        self.log = RequestLog(self.lake, self.worker, sync=settings.log_sync, when_full=settings.log_when_full)
        self.upstream = open_client(settings.upstream_client, settings.connect_timeout)
        sealer = Sealer(self.lake)
        watches = (self.keys.watch(), self.policies.watch(), self.sharing.watch(), sealer.watch())
        tasks = [asyncio.create_task(watch) for watch in watches]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.sharing.close)
            await self.upstream.close()
            self.categoriser.close()
            await asyncio.to_thread(self.log.close)
            await asyncio.to_thread(sealer.stop)

    def settle(self, exchange: Exchange) -> None:
        """Append the record. Never awaits: it runs while a request is being cancelled, too."""
        self._remembering.settle(exchange)
        record = exchange.record(self.worker)
        payload = encode_record(record)
        self.recent.add(record.generation_id, payload)
        self.log.append(payload)

    def api_key(self, endpoint: Endpoint) -> str:
        """The provider's key from the environment; a lab takes any."""
        if self.settings.lab_url:
            return "lab"
        return next((value for name in endpoint.key_env if (value := os.environ.get(name, "").strip())), "")


def ways(lake: Lake, settings: Settings) -> list[Peers]:
    """To the workers of this machine, and of others where there is a server for it."""
    found: list[Peers] = [JournalPeers(lake.health)]
    if settings.valkey_url:
        # The library takes 27 MB and 0.4 s: only where it is used.
        from router_service.routing.sharing.stream import ValkeyPeers

        found.append(ValkeyPeers(settings.valkey_url.get_secret_value(), settings.valkey_prefix))
    return found


def usable_endpoints(catalogue: Catalogue, settings: Settings) -> dict[str, tuple[Endpoint, ...]]:
    """Endpoints that this installation can reach: with a key in the environment, or all of them by a lab."""
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
        usable[model] = tuple(kept)
    return usable
