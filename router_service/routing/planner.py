"""Plans, computed once for each combination of what they depend on, and sampled per request."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping

from data.catalogue.types import Catalogue, Endpoint
from models.selection.policy import PolicyError
from router_service.routing.candidates import Ask
from router_service.routing.health import Health
from router_service.routing.learned import PolicyStore
from router_service.routing.plan import Plan, State, make_plan
from router_service.routing.preferences import NONE, Preferences, parse

CACHE_SIZE = 4096
PROMPT_BUCKETS = tuple(int(16 * 1.25**n) for n in range(56))


class Planner:
    """``plan`` is a dictionary look-up when nothing that matters has changed."""

    def __init__(
        self,
        catalogue: Catalogue,
        endpoints: Mapping[str, tuple[Endpoint, ...]],
        health: Health,
        policies: PolicyStore,
        learned_share: float,
    ) -> None:
        self.catalogue = catalogue
        self.endpoints = endpoints
        self.health = health
        self.policies = policies
        self.learned_share = learned_share
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._preferences: dict[bytes, Preferences] = {}

    def preferences(self, raw: bytes) -> Preferences:
        """Parsed ``provider`` object; equal bytes are parsed once. Raises ``ApiError`` 400."""
        if not raw or raw == b"null":
            return NONE
        found = self._preferences.get(raw)
        if found is None:
            found = parse(raw)
            if len(self._preferences) >= CACHE_SIZE:
                self._preferences.clear()
            self._preferences[raw] = found
        return found

    def plan(self, model: str, preferences: Preferences, ask: Ask) -> Plan:
        """The plan for canonical ``model``."""
        ask = ask._replace(prompt_tokens=_bucket(ask.prompt_tokens))
        epoch = self.health.refresh()
        learned = self.policies.current
        version = learned.version if learned else None
        # A sort by measured speed follows its measurements, so it is planned anew each second.
        moment = int(time.monotonic()) if preferences.sort_by in ("latency", "throughput") else 0
        key = (model, preferences, ask, epoch, version, moment)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= CACHE_SIZE:
                self._plans.clear()
            plan = self._plans[key] = self._make(model, preferences, ask)
        return plan

    def _make(self, model: str, preferences: Preferences, ask: Ask) -> Plan:
        endpoints = self.endpoints.get(model, ())
        try:
            return make_plan(model, endpoints, preferences, ask, self._state(endpoints))
        except PolicyError as error:
            self.policies.give_up(str(error))
            return make_plan(model, endpoints, preferences, ask, self._state(endpoints))

    def _state(self, endpoints: tuple[Endpoint, ...]) -> State:
        health = self.health
        ttft = {e.id: value for e in endpoints if (value := health.ttft(e.id)) is not None}
        throughput = {e.id: value for e in endpoints if (value := health.throughput(e.id)) is not None}
        return State(
            self.catalogue.version,
            health.epoch,
            health.outages,
            self.policies.current,
            self.learned_share,
            ttft,
            throughput,
        )


def _bucket(prompt_tokens: int) -> int:
    index = bisect_left(PROMPT_BUCKETS, prompt_tokens)
    return PROMPT_BUCKETS[min(index, len(PROMPT_BUCKETS) - 1)]
