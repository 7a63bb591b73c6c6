"""Plans, computed once for each combination of what they depend on, and sampled per request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from data.catalogue.types import Catalogue, Endpoint
from models.selection.decision.artifact import PolicyError
from models.selection.decision.features import planned_tokens
from models.selection.decision.utility import UtilityWeights
from router_service.routing.candidates import Ask
from router_service.routing.cutoffs import wants_speed
from router_service.routing.demands import NO_DEMANDS, Demands
from router_service.routing.health import Health
from router_service.routing.health.percentiles import Percentiles as Measured
from router_service.routing.learned import PolicyStore
from router_service.routing.observing import Observing
from router_service.routing.plan import Plan, make_plan
from router_service.routing.preferences import Percentiles, Preferences, Sort, parse
from router_service.routing.service_tiers import FLEX, REASON, SORTS, flex_only
from router_service.routing.state import NOTHING, Measure, State
from router_service.routing.variants import Wanted, listed
from router_service.routing.wishes import weighs

CACHE_SIZE = 4096
# A plan that reads measurements holds for this long; the windows behind them are minutes long.
MEASURED_FOR_S = 2.0
# One that reads what was seen of the last calls, for this long: it is to count within seconds.
SEEN_FOR_S = 1.0


class Moment(NamedTuple):
    """Of measurements and of what was seen of the last calls; 0 where a plan reads none."""

    measured: int
    seen: int


class _Kept:
    """The last plan for what never changes of its inputs. ``measures``: whether it reads measurements; ``sees``:
    whether it reads what was seen of the last calls, where there is a policy that does."""

    __slots__ = ("made_of", "measures", "plan", "sees")

    def __init__(self, measures: bool, sees: bool) -> None:
        self.measures, self.sees = measures, sees
        self.plan: Plan | None = None
        self.made_of: tuple[int, str | None, Moment] | None = None


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
        installation: Demands = NO_DEMANDS,
        observing: Observing | None = None,
        wish: UtilityWeights = UtilityWeights(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalogue = catalogue
        self.endpoints = endpoints
        self.health = health
        self.policies = policies
        self.learned_share = learned_share
        self.strategy = strategy
        self.auto_exacto = auto_exacto
        self.installation = installation
        self.observing = observing
        self.wish = wish
        self._clock = clock
        self._plans: dict[tuple[object, ...], _Kept] = {}
        self._measures: dict[str, tuple[int, Measure | None]] = {}
        self._preferences: dict[tuple[Demands, bytes], Preferences] = {}

    def preferences(self, raw: bytes, demands: Demands | None = None) -> Preferences:
        """Parsed ``provider`` object under ``demands``, else the installation's; equal bytes are parsed once for each.

        Raises ``ApiError`` 400.
        """
        demands = demands or self.installation
        if not raw or raw == b"null":
            return demands.least
        found = self._preferences.get((demands, raw))
        if found is None:
            found = demands.apply(parse(raw))
            if len(self._preferences) >= CACHE_SIZE:
                self._preferences.clear()
            self._preferences[demands, raw] = found
        return found

    def plan(self, wanted: tuple[Wanted, ...], preferences: Preferences, ask: Ask, strategy: str | None = None) -> Plan:
        """The plan for one model, or for several as one pool. ``strategy`` replaces the installation's default."""
        key = (wanted, preferences, planned_tokens(ask.prompt_tokens), ask[1:], strategy)
        kept = self._plans.get(key)
        if kept is None:
            if len(self._plans) >= CACHE_SIZE:
                self._plans.clear()
            kept = self._plans[key] = self._reads(wanted, preferences, ask, strategy)
        epoch, learned, now = self.health.refresh(), self.policies.current, self._clock()
        served = kept.sees and learned is not None and self.learned_share > 0
        moment = Moment(
            1 + int(now / MEASURED_FOR_S) if kept.measures else 0, 1 + int(now / SEEN_FOR_S) if served else 0
        )
        made_of = (epoch, learned.version if learned else None, moment)
        if kept.plan is None or kept.made_of != made_of:
            ask = ask._replace(prompt_tokens=key[2])
            kept.plan, kept.made_of = self._make(wanted, preferences, ask, strategy, moment), made_of
        return kept.plan

    def _reads(self, wanted: tuple[Wanted, ...], preferences: Preferences, ask: Ask, strategy: str | None) -> _Kept:
        by = wanted[0].sort or preferences.sort_by or SORTS.get(ask.service_tier or "")
        explicit = preferences.strategy or strategy
        named = explicit or self.strategy
        graded = named in ("adjusted", "exacto") or (ask.tools and self.auto_exacto)
        measures = (graded if by is None else by != "price") or wants_speed(preferences)
        return _Kept(measures, named == "learned" and not preferences.order and (by is None or weighs(explicit, by)))

    def _make(
        self, wanted: tuple[Wanted, ...], preferences: Preferences, ask: Ask, strategy: str | None, moment: Moment
    ) -> Plan:
        # One model may be wanted under two names.
        found = [listed(self.endpoints.get(one.model, ()), one, preferences, ask.service_tier) for one in wanted]
        pool = {e.id: e for one in found for e in one.endpoints}
        others = {e.id: (e, REASON) for one in found for e in one.other_tiers if e.id not in pool}
        endpoints, left_out = tuple(pool.values()), tuple(others.values())
        preferences = _with_sort(_sort(wanted[0], preferences, ask, endpoints), preferences)
        model = wanted[0].model
        try:
            state = self._state(endpoints, ask, strategy, moment)
            return make_plan(model, endpoints, preferences, ask, state, left_out)
        except PolicyError as error:
            self.policies.give_up(str(error))
            state = self._state(endpoints, ask, strategy, moment)
            return make_plan(model, endpoints, preferences, ask, state, left_out)

    def _state(self, endpoints: tuple[Endpoint, ...], ask: Ask, strategy: str | None, moment: Moment) -> State:
        health, measured = self.health, moment.measured
        ids = [e.id for e in endpoints]
        return State(
            self.catalogue.version,
            health.epoch,
            health.outages,
            self.policies.current,
            self.learned_share,
            {name: found for name in ids if (found := self._measured(name, measured)) is not None} if measured else {},
            strategy or self.strategy,
            self.auto_exacto,
            health.ejected(ids),
            frozenset(name for name in ids if health.limited(name)),
            self._distances(ids, ask.client_region) if measured else {},
            strategy is not None,
            self.observing.seen(ids) if moment.seen and self.observing else None,
            self.wish,
        )

    def _distances(self, ids: list[str], client_region: str | None) -> dict[tuple[str, str | None], float]:
        if client_region is None:
            return {}
        factors = ((name, self.health.distance(name, client_region)) for name in ids)
        return {(name, client_region): factor for name, factor in factors if factor != 1.0}

    def _measured(self, endpoint: str, moment: int) -> Measure | None:
        known = self._measures.get(endpoint)
        if known is None or known[0] != moment:
            known = self._measures[endpoint] = (moment, _measure(self.health, endpoint))
        return known[1]


def _measure(health: Health, endpoint: str) -> Measure | None:
    counts = health.counts(endpoint, "30m")
    quality = health.quality(endpoint)
    if not any(counts) and not any(quality):
        return None
    return Measure(
        latency=_percentiles(health.latency_percentiles(endpoint, "5m")),
        throughput=_percentiles(health.throughput_percentiles(endpoint, "5m")),
        requests=counts.success + counts.failure,
        errors=counts.failure,
        rate_limited=counts.rate_limited,
        wait_s=quality.wait_ms / (1000 * quality.asked) if quality.asked else 0.0,
        tool_requests=quality.tool_requests,
        malformed=quality.malformed,
        prompt_tokens=quality.prompt,
        cached_tokens=quality.cached,
        completion_tokens=quality.completion,
        answers=quality.answers,
    )


def _percentiles(found: Measured | None) -> Percentiles:
    return Percentiles(*found) if found else NOTHING


def _sort(wanted: Wanted, preferences: Preferences, ask: Ask, pool: tuple[Endpoint, ...]) -> str | None:
    """That of the suffix, else the request's own, else that of the service tier."""
    by = wanted.sort or preferences.sort_by
    if by or (ask.service_tier == FLEX and not flex_only(pool, FLEX)):
        return by
    return SORTS.get(ask.service_tier or "")


def _with_sort(by: str | None, preferences: Preferences) -> Preferences:
    if by is None or by == preferences.sort_by:
        return preferences
    partition = preferences.sort.partition if isinstance(preferences.sort, Sort) else "model"
    return msgspec.structs.replace(preferences, sort=Sort(by, partition))
