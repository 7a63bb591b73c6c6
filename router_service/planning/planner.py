"""Cache plans for each combination of their inputs; they are sampled once per request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping

import msgspec

from data.catalogue.price import length_steps
from data.catalogue.types import Catalogue, Endpoint
from models.selection.decision.artifact import PolicyError
from models.selection.decision.features import planned_tokens
from models.selection.decision.utility import UtilityWeights
from router_service.core.bounded_cache import BoundedCache
from router_service.core.caller import Constraints
from router_service.core.plan import Plan
from router_service.core.preferences import Percentiles, Preferences, Sort, parse_preferences
from router_service.health import Health
from router_service.health.live_statistics import LiveStatistics
from router_service.health.percentiles import MeasuredPercentiles as Measured
from router_service.planning.constraints import NO_CONSTRAINTS
from router_service.planning.eligibility import NEVER_REQUIRED, SOFT_PARAMETERS, RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.market_state import NOT_MEASURED, EndpointMeasurement, MarketState
from router_service.planning.model_variants import RequestedModel, endpoints_listed
from router_service.planning.policy_store import PolicyStore
from router_service.planning.service_tiers import FLEX, TIER_REASON, TIER_SORTS, flex_only
from router_service.planning.speed_cutoffs import wants_speed
from router_service.planning.utility_preferences import sort_is_weighed

SOFT_PARAMETER_SET = frozenset(SOFT_PARAMETERS)
CACHE_ENTRIES = 4096
# A plan over 30 endpoints takes about 12 kB.
PLAN_CACHE_BYTES = 64 * 1024 * 1024
PREFERENCES_CACHE_BYTES = 8 * 1024 * 1024
# For each endpoint a plan holds entries of its tuples and an encoded candidate.
ENDPOINT_BYTES = 400
# A plan that reads measurements is valid for this long; the windows of the measurements are minutes long.
MEASUREMENT_INTERVAL_S = 2.0
# A plan that reads live statistics is valid for this long, so that the last calls count within seconds.
OBSERVATION_INTERVAL_S = 1.0


class MeasurementTimes(msgspec.Struct, frozen=True, gc=False):
    """Number the intervals in which a plan's measurements and live statistics were read; 0 if it reads none."""

    measured: int
    observed: int


class _CachedPlan:
    """Hold the last plan for inputs that do not change with time.

    ``reads_measurements`` and ``reads_statistics`` name the changing inputs of the plan.
    """

    __slots__ = ("endpoints", "made_from", "plan", "reads_measurements", "reads_statistics")

    def __init__(self, reads_measurements: bool, reads_statistics: bool, endpoints: int) -> None:
        self.reads_measurements, self.reads_statistics = reads_measurements, reads_statistics
        self.endpoints = endpoints
        self.plan: Plan | None = None
        self.made_from: tuple[int, str | None, MeasurementTimes] | None = None


PlanKey = tuple[object, ...]


def _plan_bytes(_key: PlanKey, cached: _CachedPlan) -> int:
    return 1000 + ENDPOINT_BYTES * cached.endpoints


class Planner:
    """Plan requests. A call of ``plan`` is one dictionary look-up while none of its inputs has changed.

    ``clock`` returns seconds from any origin. ``learned_share`` is the part of the traffic that learned policies get.
    """

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
        installation: Constraints = NO_CONSTRAINTS,
        statistics: LiveStatistics | None = None,
        weights: UtilityWeights = UtilityWeights(),
        clock: Callable[[], float],
    ) -> None:
        self.catalogue = catalogue
        self.endpoints = endpoints
        self.health = health
        self.policies = policies
        self.learned_share = learned_share
        self.strategy = strategy
        self.auto_exacto = auto_exacto
        self.installation = installation
        self.statistics = statistics
        self.weights = weights
        self._clock = clock
        self._plans: BoundedCache[PlanKey, _CachedPlan] = BoundedCache(CACHE_ENTRIES, PLAN_CACHE_BYTES, _plan_bytes)
        self._limits = {
            model: tuple(sorted({e.max_completion_tokens for e in offers if e.max_completion_tokens is not None}))
            for model, offers in endpoints.items()
        }
        steps = {model: {step for e in offers for step in length_steps(e.price)} for model, offers in endpoints.items()}
        self._length_steps = {model: tuple(found) for model, found in steps.items() if found}
        self._measures: dict[str, tuple[int, EndpointMeasurement | None]] = {}
        self._preferences: BoundedCache[tuple[Constraints, bytes], Preferences] = BoundedCache(
            CACHE_ENTRIES, PREFERENCES_CACHE_BYTES, lambda key, _value: 4 * len(key[1])
        )

    def preferences(self, raw: bytes, constraints: Constraints | None = None) -> Preferences:
        """Return the parsed ``provider`` object under ``constraints``, by default the installation's.

        Equal bytes are parsed once for each set of constraints. Raises ``ApiError`` 400.
        """
        constraints = constraints or self.installation
        if not raw or raw == b"null":
            return constraints.baseline
        key = (constraints, raw)
        return self._preferences.get(key) or self._preferences.put(key, constraints.apply(parse_preferences(raw)))

    def plan(
        self,
        wanted: tuple[RequestedModel, ...],
        preferences: Preferences,
        profile: RequestProfile,
        strategy: str | None = None,
    ) -> Plan:
        """Return the plan for one model, or for several as one pool; ``strategy`` replaces the installation's default.

        The cached plan is returned while health, policies and the measurements that it reads are unchanged.
        """
        profile = self._coarsened(wanted, preferences, profile)
        key = (wanted, preferences, profile, strategy)
        cached = self._plans.get(key)
        if cached is None:
            cached = self._plans.put(key, self._cached_plan(wanted, preferences, profile, strategy))
        epoch, learned, now = self.health.refresh(), self.policies.current, self._clock()
        served = cached.reads_statistics and learned is not None and self.learned_share > 0
        times = MeasurementTimes(
            1 + int(now / MEASUREMENT_INTERVAL_S) if cached.reads_measurements else 0,
            1 + int(now / OBSERVATION_INTERVAL_S) if served else 0,
        )
        made_from = (epoch, learned.version if learned else None, times)
        if cached.plan is None or cached.made_from != made_from:
            cached.plan, cached.made_from = self._make_plan(wanted, preferences, profile, strategy, times), made_from
        return cached.plan

    def _coarsened(
        self, wanted: tuple[RequestedModel, ...], preferences: Preferences, profile: RequestProfile
    ) -> RequestProfile:
        """Return ``profile`` with values that many requests share, so that these requests share a plan.

        ``max_tokens`` becomes the largest value for which the same endpoints are eligible; ``planned_limit`` is a power
        of two already. Only parameters that can exclude an endpoint remain.
        """
        limit = profile.max_tokens
        if limit is not None:
            limits = self._completion_limits(wanted)
            place = bisect_left(limits, limit)
            limit = limits[place] if place < len(limits) else limits[-1] + 1 if limits else None
        parameters = profile.parameters
        if preferences.require_parameters:
            parameters = tuple(name for name in parameters if name not in NEVER_REQUIRED)
        elif SOFT_PARAMETER_SET.isdisjoint(parameters):
            parameters = ()
        else:
            parameters = tuple(name for name in SOFT_PARAMETERS if name in parameters)
        # The first three fields are the ones that are coarsened; ``_replace`` takes four times as long.
        priced = self._priced_tokens(wanted, profile.prompt_tokens)
        return RequestProfile(planned_tokens(profile.prompt_tokens), limit, parameters, *profile[3:-1], priced)

    def _priced_tokens(self, wanted: tuple[RequestedModel, ...], prompt_tokens: int) -> int:
        """Return the shortest prompt that costs what this one does per token at all endpoints of the wanted models."""
        known = self._length_steps
        if len(wanted) == 1 and wanted[0].model not in known:
            return 0
        steps = [step for one in wanted for step in known.get(one.model, ()) if step < prompt_tokens]
        return max(steps) + 1 if steps else 0

    def _completion_limits(self, wanted: tuple[RequestedModel, ...]) -> tuple[int, ...]:
        """Return the distinct completion limits of the wanted models' endpoints, ascending."""
        if len(wanted) == 1:
            return self._limits.get(wanted[0].model, ())
        return tuple(sorted({limit for one in wanted for limit in self._limits.get(one.model, ())}))

    def _cached_plan(
        self,
        wanted: tuple[RequestedModel, ...],
        preferences: Preferences,
        profile: RequestProfile,
        strategy: str | None,
    ) -> _CachedPlan:
        sort = wanted[0].sort or preferences.sort_by or TIER_SORTS.get(profile.service_tier or "")
        explicit = preferences.strategy or strategy
        named = explicit or self.strategy
        by_quality = named in ("adjusted", "exacto") or (profile.tools and self.auto_exacto)
        measures = (by_quality if sort is None else sort != "price") or wants_speed(preferences)
        learned = named == "learned" and not preferences.order and (sort is None or sort_is_weighed(explicit, sort))
        return _CachedPlan(measures, learned, sum(len(self.endpoints.get(one.model, ())) for one in wanted))

    def _make_plan(
        self,
        wanted: tuple[RequestedModel, ...],
        preferences: Preferences,
        profile: RequestProfile,
        strategy: str | None,
        times: MeasurementTimes,
    ) -> Plan:
        # Two names of a request may stand for the same model.
        found = [
            endpoints_listed(self.endpoints.get(one.model, ()), one, preferences, profile.service_tier)
            for one in wanted
        ]
        pool = {e.id: e for one in found for e in one.endpoints}
        others = {e.id: (e, TIER_REASON) for one in found for e in one.other_tiers if e.id not in pool}
        endpoints, excluded_before = tuple(pool.values()), tuple(others.values())
        preferences = _with_sort(_sort(wanted[0], preferences, profile, endpoints), preferences)
        model = wanted[0].model
        try:
            state = self._state(endpoints, profile, strategy, times)
            return make_plan(model, endpoints, preferences, profile, state, excluded_before)
        except PolicyError as error:
            self.policies.abandon_all(str(error))
            state = self._state(endpoints, profile, strategy, times)
            return make_plan(model, endpoints, preferences, profile, state, excluded_before)

    def _state(
        self, endpoints: tuple[Endpoint, ...], profile: RequestProfile, strategy: str | None, times: MeasurementTimes
    ) -> MarketState:
        health, measured = self.health, times.measured
        ids = [e.id for e in endpoints]
        return MarketState(
            self.catalogue.version,
            health.epoch,
            health.outages,
            self.policies.current,
            # Policies are trained on chat requests alone.
            self.learned_share if profile.task == "chat" else 0.0,
            {name: found for name in ids if (found := self._measured(name, measured)) is not None} if measured else {},
            strategy or self.strategy,
            self.auto_exacto,
            health.ejected(ids),
            frozenset(name for name in ids if health.limited(name)),
            self._distances(ids, profile.client_region) if measured else {},
            strategy is not None,
            self.statistics.snapshot(ids) if times.observed and self.statistics else None,
            self.weights,
        )

    def _distances(self, ids: list[str], client_region: str | None) -> dict[tuple[str, str | None], float]:
        if client_region is None:
            return {}
        factors = ((name, self.health.distance(name, client_region)) for name in ids)
        return {(name, client_region): factor for name, factor in factors if factor != 1.0}

    def _measured(self, endpoint: str, interval: int) -> EndpointMeasurement | None:
        known = self._measures.get(endpoint)
        if known is None or known[0] != interval:
            known = self._measures[endpoint] = (interval, _measure(self.health, endpoint))
        return known[1]


def _measure(health: Health, endpoint: str) -> EndpointMeasurement | None:
    counts = health.counts(endpoint, "30m")
    quality = health.quality(endpoint)
    if not any(counts) and not any(quality):
        return None
    return EndpointMeasurement(
        latency=_percentiles(health.latency_percentiles(endpoint, "5m")),
        throughput=_percentiles(health.throughput_percentiles(endpoint, "5m")),
        requests=counts.success + counts.failure,
        errors=counts.failure,
        rate_limited=counts.rate_limited,
        retry_after_s=quality.retry_after_ms / (1000 * quality.retry_after_count) if quality.retry_after_count else 0.0,
        tool_requests=quality.tool_requests,
        malformed=quality.malformed,
        prompt_tokens=quality.prompt,
        cached_tokens=quality.cached,
        completion_tokens=quality.completion,
        answers=quality.responses,
    )


def _percentiles(found: Measured | None) -> Percentiles:
    return Percentiles(*found) if found else NOT_MEASURED


def _sort(
    wanted: RequestedModel, preferences: Preferences, profile: RequestProfile, pool: tuple[Endpoint, ...]
) -> str | None:
    """Return the sort of the suffix, else the request's own, else that of the service tier."""
    sort = wanted.sort or preferences.sort_by
    if sort or (profile.service_tier == FLEX and not flex_only(pool, FLEX)):
        return sort
    return TIER_SORTS.get(profile.service_tier or "")


def _with_sort(sort: str | None, preferences: Preferences) -> Preferences:
    if sort is None or sort == preferences.sort_by:
        return preferences
    partition = preferences.sort.partition if isinstance(preferences.sort, Sort) else "model"
    return msgspec.structs.replace(preferences, sort=Sort(sort, partition))
