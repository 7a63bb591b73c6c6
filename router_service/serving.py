"""What one router process holds: catalogue, health, plans, keys, upstream connections, the log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Mapping

import msgspec
from starlette.types import Scope

from data.catalogue import load_catalogue
from data.catalogue.types import Catalogue, Endpoint
from data.lake import Lake
from data.record.encoding import encode_record
from router_service.accounting.usage import UsageReader
from router_service.admission.authority import Authority
from router_service.admission.client_region import ClientRegions
from router_service.admission.hosts import RegionalHosts
from router_service.admission.keys import Key, KeyStore, open_database
from router_service.admission.policy import NO_POLICY
from router_service.exchange import Exchange
from router_service.routing.deadlines import UsualLatency
from router_service.routing.demands import Demands
from router_service.routing.health import Health
from router_service.routing.hedging import Hedging
from router_service.routing.learned import PolicyStore
from router_service.routing.observing import Observing
from router_service.routing.planner import Planner
from router_service.routing.preferences import Preferences
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
from router_service.tool_calls.check import Checker
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
        self.observing = Observing()
        self.usual = UsualLatency(self.health)
        self.hedging = self._hedging() if settings.hedge_share else None
        self.policies = PolicyStore(self.lake)
        self._authority = Authority(_rules(settings))
        self.hosts = RegionalHosts(settings.regional_hosts)
        self._clients = ClientRegions(settings.client_region_header, settings.client_regions, settings.trusted_proxies)
        self.planner = Planner(
            self.catalogue,
            self.endpoints,
            self.health,
            self.policies,
            settings.learned_share,
            strategy=settings.strategy,
            auto_exacto=settings.auto_exacto,
            installation=self._authority.installation,
            observing=self.observing,
            wish=settings.wish,
        )
        self.sticky = Sticky(self.health)
        self._remembering = Remembering(self.sticky, self.endpoints)
        reachable = {endpoint.id for offers in self.endpoints.values() for endpoint in offers}
        self.sharing = Sharing(
            self.health, self.sticky, ways(self.lake, settings), reachable=reachable, observing=self.observing
        )
        self.worker = f"{os.uname().nodename}-{os.getpid()}"
        self.recent = Recent()
        self.usage = UsageReader(self.lake)
        self._checker = Checker()
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

    def demands(self, key: Key, headers: Mapping[bytes, bytes]) -> Demands:
        """What installation, regional host and key demand of a request."""
        return self._authority.demands(key.policy or NO_POLICY, self.hosts.find(headers))

    def client_region(self, key: Key, headers: Mapping[bytes, bytes], scope: Scope) -> str | None:
        """Where the request comes from, where that is known."""
        peer = scope.get("client")
        return self._clients.find(headers, peer[0] if peer else None, key.policy.client_region if key.policy else None)

    def country(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the country that the client-region header names."""
        return self._clients.country(headers)

    def _hedging(self) -> Hedging:
        unstoppable = frozenset(p.slug for p in self.catalogue.providers.values() if not p.supports_cancellation)
        return Hedging(self.settings.hedge_share, self.health, unstoppable, self.settings.hedge_burst_tokens)

    def settle(self, exchange: Exchange) -> None:
        """Append the record. Never awaits: it runs while a request is being cancelled, too.

        Tool calls are judged here, when the last byte has gone out: typically in 10 µs, and bounded whatever the
        schemas, so that the record need not wait for a verdict that a crash could lose with it.
        """
        self._remembering.settle(exchange)
        self._observe(exchange)
        self.observing.settle(exchange)
        record = exchange.record(self.worker)
        payload = encode_record(record)
        self.recent.add(record.generation_id, payload)
        self.log.append(payload)

    def _observe(self, exchange: Exchange) -> None:
        """Tell health what the answer cost and whether its tool calls were well-formed."""
        endpoint, usage, head = exchange.endpoint, exchange.usage, exchange.head
        if endpoint is None:
            return
        if usage and usage.prompt_tokens:
            cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
            self.health.used(endpoint, usage.prompt_tokens, cached, usage.completion_tokens)
        if exchange.calls is not None and exchange.finish_reason == "tool_calls" and head:
            exchange.verdict = self._checker.check(head.fields["tools"], exchange.calls)
            self.health.tool_calls(endpoint, exchange.verdict.fault is not None)

    def api_key(self, endpoint: Endpoint) -> str:
        """The provider's key from the environment; a lab takes any."""
        if self.settings.lab_url:
            return "lab"
        return next((value for name in endpoint.key_env if (value := os.environ.get(name, "").strip())), "")


def _rules(settings: Settings) -> Preferences:
    return Preferences(
        data_collection=settings.data_collection,
        zdr=settings.zdr,
        enforce_distillable_text=settings.enforce_distillable_text,
        region=settings.data_region,
    )


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
