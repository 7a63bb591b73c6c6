"""Make a plan as a pure function of preferences, profile, endpoints and the state of the market."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.plan import Arm, Plan, encode_arms
from router_service.core.preferences import Preferences
from router_service.planning.eligibility import RequestProfile, blended_price, filter_endpoints
from router_service.planning.market_state import UNMEASURED, MarketState
from router_service.planning.service_tiers import PRIORITY
from router_service.planning.speed_cutoffs import cutoff_penalty, wants_speed
from router_service.planning.strategies import STRATEGIES
from router_service.planning.strategies.exacto import DEPRIORITISED, quality
from router_service.planning.strategies.strategy import StrategyInput
from router_service.planning.utility_preferences import sort_is_weighed

_encode = msgspec.msgpack.Encoder().encode


def make_plan(
    model: str,
    endpoints: Sequence[Endpoint],
    preferences: Preferences,
    profile: RequestProfile,
    state: MarketState,
    excluded_before: Sequence[tuple[Endpoint, str]] = (),
) -> Plan:
    """Filter, weigh and order ``endpoints``. ``Plan.endpoints`` is empty if no endpoint is eligible.

    ``excluded_before`` are endpoints excluded earlier, each with its reason. Raises ``PolicyError`` if the learned
    policy has a share of the traffic and returns no usable figures.
    """
    eligible, excluded = filter_endpoints(endpoints, preferences, profile)
    excluded += excluded_before
    fallbacks = preferences.allow_fallbacks is not False or bool(preferences.order)
    version, epoch = state.catalogue_version, state.health_epoch
    if not eligible:
        rows, arms = _encode_candidates((), (), (), excluded), encode_arms(())
        return Plan(model, (), (), (), tuple(excluded), rows, arms, version, epoch, fallbacks, False, preferences)
    name = strategy_of(preferences, profile, state)
    choice = STRATEGIES[name](_strategy_input(eligible, name, preferences, profile, state))
    chosen = tuple(choice.endpoints)
    probabilities = _mixture(choice.arms, len(chosen))
    rows = _encode_candidates(chosen, probabilities, choice.scores, excluded)
    return Plan(
        model,
        chosen,
        probabilities,
        choice.arms,
        tuple(excluded),
        rows,
        encode_arms(choice.arms),
        version,
        epoch,
        fallbacks,
        choice.redraw,
        preferences,
        profile.service_tier if any(e.service_tier == profile.service_tier for e in chosen) else None,
    )


def strategy_of(preferences: Preferences, profile: RequestProfile, state: MarketState) -> str:
    """Return the name of the strategy: a fixed order, else the request's own strategy, else the state's.

    A ``sort`` fixes the order, unless the request or the key names the learned strategy, which weighs the sort as a
    preference. For requests with tools price shares become ``exacto`` (tool quality first), unless the request names
    its strategy.
    """
    if preferences.order:
        return "order"
    named = preferences.strategy or (state.strategy if state.named else None)
    if preferences.sort_by and not sort_is_weighed(named, preferences.sort_by):
        return "exacto" if preferences.sort_by == "exacto" else "sort"
    if preferences.strategy:
        return preferences.strategy
    return "exacto" if state.strategy == "price" and profile.tools and state.auto_exacto else state.strategy


def _strategy_input(
    eligible: list[Endpoint], name: str, preferences: Preferences, profile: RequestProfile, state: MarketState
) -> StrategyInput:
    measures = state.measures
    tiers = [_health_penalty(e.id, state) for e in eligible]
    deprioritised: frozenset[str] = frozenset()
    # The learned policy avoids bad tool calls by tiers, as price shares do; adjusted shares include them in the price.
    by_tool_quality = name == "exacto" or (name == "learned" and profile.tools and state.auto_exacto)
    if by_tool_quality or (name == "adjusted" and profile.tools):
        grades = quality(eligible, measures)
        deprioritised = frozenset(e.id for e, grade in zip(eligible, grades, strict=True) if grade == DEPRIORITISED)
        if by_tool_quality:
            tiers = [tier + 3 * grade for tier, grade in zip(tiers, grades, strict=True)]
    if profile.service_tier == PRIORITY:
        tiers = [tier + 9 * (e.service_tier != PRIORITY) for tier, e in zip(tiers, eligible, strict=True)]
    if wants_speed(preferences):
        tiers = [
            tier + cutoff_penalty(preferences, measures.get(e.id, UNMEASURED))
            for tier, e in zip(tiers, eligible, strict=True)
        ]
    prices = [blended_price(profile.price_of(e.price)) if e.price else 0 for e in eligible]
    rows = sorted(zip(tiers, prices, [e.id for e in eligible], range(len(eligible)), strict=True))
    return StrategyInput(
        [eligible[row[3]] for row in rows],
        [row[1] for row in rows],
        [row[0] for row in rows],
        deprioritised,
        preferences,
        profile,
        state,
    )


def _health_penalty(endpoint: str, state: MarketState) -> int:
    """Return a penalty above all other criteria: a rate limit before an ejection, and that before an outage."""
    return 72 * (endpoint in state.limited) + 36 * (endpoint in state.ejected) + 18 * (endpoint in state.outages)


def _mixture(arms: tuple[Arm, ...], count: int) -> tuple[float, ...]:
    mixed = [0.0] * count
    for arm in arms:
        before = 0.0
        for index, edge in enumerate(arm.cumulative):
            mixed[index] += arm.weight * (edge - before)
            before = edge
    return tuple(mixed)


def _encode_candidates(
    ordered: Sequence[Endpoint],
    probabilities: Sequence[float],
    scores: Sequence[float],
    excluded: Sequence[tuple[Endpoint, str]],
) -> msgspec.Raw:
    rows: list[dict[str, object]] = [
        {"endpoint": e.id, "probability": p, "score": score, "excluded_by": None}
        for e, p, score in zip(ordered, probabilities, scores, strict=True)
    ]
    rows += [{"endpoint": e.id, "probability": 0.0, "score": None, "excluded_by": reason} for e, reason in excluded]
    return msgspec.Raw(_encode(rows))
