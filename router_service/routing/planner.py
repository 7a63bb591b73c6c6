"""Plans, computed once for each combination of what they depend on, and sampled per request."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping

import msgspec

from data.catalogue.types import Catalogue, Endpoint
from models.selection.policy import PolicyError
from router_service.routing.candidates import Ask
from router_service.routing.cutoffs import wants_speed
from router_service.routing.health import Health
from router_service.routing.learned import PolicyStore
from router_service.routing.plan import Plan, make_plan
from router_service.routing.preferences import NONE, Defaults, Percentiles, Preferences, Sort, parse
from router_service.routing.state import Measure, State
from router_service.routing.variants import Wanted, listed

CACHE_SIZE = 4096
PROMPT_BUCKETS = tuple(int(16 * 1.25**n) for n in range(56))
# A plan that reads measurements holds for this long; the windows behind them are minutes long.
MEASURED_FOR_S = 2.0
# A running mean of weight 0.2, which is what health keeps, remembers about (2 - 0.2) / 0.2 requests.
REMEMBERED = 9


class Planner:
    """``plan`` is a dictionary look-up when nothing that matters has changed."""

    def __init__(
        self,
        catalogue: Catalogue,
        endpoints: Mapping[str, tuple[Endpoint, ...]],
        health: Health,
        policies: PolicyStore,
        learned_share: float,
        *,
        strategy: str = "learned",
        auto_exacto: bool = True,
        defaults: Defaults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalogue = catalogue
        self.endpoints = endpoints
        self.health = health
        self.policies = policies
        self.learned_share = learned_share
        self.strategy = strategy
        self.auto_exacto = auto_exacto
        self.defaults = defaults or Defaults()
        self._clock = clock
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._preferences: dict[bytes, Preferences] = {}
        self._unstated = self.defaults.apply(NONE)

    def preferences(self, raw: bytes) -> Preferences:
        """Parsed ``provider`` object, tightened by the installation's rules; equal bytes are parsed once.

        Raises ``ApiError`` 400.
        """
        if not raw or raw == b"null":
            return self._unstated
        found = self._preferences.get(raw)
        if found is None:
            found = self.defaults.apply(parse(raw))
            if len(self._preferences) >= CACHE_SIZE:
                self._preferences.clear()
            self._preferences[raw] = found
        return found

    def plan(self, wanted: tuple[Wanted, ...], preferences: Preferences, ask: Ask, strategy: str | None = None) -> Plan:
        """The plan for one model, or for several as one pool. ``strategy`` replaces the installation's default."""
        ask = ask._replace(prompt_tokens=_bucket(ask.prompt_tokens))
        epoch = self.health.refresh()
        learned = self.policies.current
        version = learned.version if learned else None
        moment = int(self._clock() / MEASURED_FOR_S) if self._reads_measures(wanted, preferences, ask, strategy) else 0
        key = (wanted, preferences, ask, strategy, epoch, version, moment)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= CACHE_SIZE:
                self._plans.clear()
            plan = self._plans[key] = self._make(wanted, preferences, ask, strategy)
        return plan

    def _reads_measures(
        self, wanted: tuple[Wanted, ...], preferences: Preferences, ask: Ask, strategy: str | None
    ) -> bool:
        by = wanted[0].sort or preferences.sort_by
        named = preferences.strategy or strategy or self.strategy
        graded = named in ("adjusted", "exacto") or (ask.tools and self.auto_exacto)
        return (graded if by is None else by != "price") or wants_speed(preferences)

    def _make(self, wanted: tuple[Wanted, ...], preferences: Preferences, ask: Ask, strategy: str | None) -> Plan:
        # One model may be wanted under two names.
        pool = {e.id: e for one in wanted for e in listed(self.endpoints.get(one.model, ()), one, preferences)}
        endpoints = tuple(pool.values())
        preferences = _with_sort(wanted[0], preferences)
        model = wanted[0].model
        try:
            return make_plan(model, endpoints, preferences, ask, self._state(endpoints, strategy))
        except PolicyError as error:
            self.policies.give_up(str(error))
            return make_plan(model, endpoints, preferences, ask, self._state(endpoints, strategy))

    def _state(self, endpoints: tuple[Endpoint, ...], strategy: str | None) -> State:
        health = self.health
        return State(
            self.catalogue.version,
            health.epoch,
            health.outages,
            self.policies.current,
            self.learned_share,
            {e.id: measured for e in endpoints if (measured := _measure(health, e.id)) is not None},
            strategy or self.strategy,
            self.auto_exacto,
        )


def _measure(health: Health, endpoint: str) -> Measure | None:
    ttft, throughput = health.ttft(endpoint), health.throughput(endpoint)
    if ttft is None and throughput is None:
        return None
    return Measure(latency=Percentiles(p50=ttft), throughput=Percentiles(p50=throughput), requests=REMEMBERED)


def _with_sort(wanted: Wanted, preferences: Preferences) -> Preferences:
    if wanted.sort is None:
        return preferences
    partition = preferences.sort.partition if isinstance(preferences.sort, Sort) else "model"
    return msgspec.structs.replace(preferences, sort=Sort(wanted.sort, partition))


def _bucket(prompt_tokens: int) -> int:
    index = bisect_left(PROMPT_BUCKETS, prompt_tokens)
    return PROMPT_BUCKETS[min(index, len(PROMPT_BUCKETS) - 1)]
