"""The decision: a pure function of preferences, the ask, the catalogue and the state of the market."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from data.catalogue.types import Endpoint
from data.schema import Record
from router_service.core.preferences import Preferences
from router_service.planning.eligibility import Ask, blended, filter_endpoints
from router_service.planning.market_state import UNMEASURED, State
from router_service.planning.service_tiers import PRIORITY
from router_service.planning.speed_cutoffs import standing, wants_speed
from router_service.planning.strategies import STRATEGIES
from router_service.planning.strategies.exacto import DEPRIORITISED, quality
from router_service.planning.strategies.strategy import Arm, Slate
from router_service.planning.utility_preferences import weighs

# The largest float below 1: where rounding would put a draw at 1.
BELOW_ONE = 1.0 - 2.0**-53
_encode = msgspec.msgpack.Encoder().encode


class Plan(NamedTuple):
    """``endpoints`` in fallback order; ``probabilities[i]`` is the chance that ``i`` is tried first.

    Without ``fallbacks`` the first choice is the only one; with ``redraw`` it is followed by a draw from
    the rest. ``preferences`` carry what the attempts need of the request; ``service_tier`` is the one asked for
    where any of the endpoints is of it.
    """

    model: str
    endpoints: tuple[Endpoint, ...]
    probabilities: tuple[float, ...]
    arms: tuple[Arm, ...]
    excluded: tuple[tuple[Endpoint, str], ...]
    candidates: msgspec.Raw
    logged_arms: msgspec.Raw
    catalogue_version: str
    health_epoch: int
    fallbacks: bool
    redraw: bool
    preferences: Preferences
    service_tier: str | None = None

    def describe(self, record: Record) -> None:
        """Write what was there to choose from into the log record."""
        record.catalogue_version, record.health_epoch = self.catalogue_version, self.health_epoch
        record.candidates, record.arms = self.candidates, self.logged_arms
        regions = self.preferences.regions
        if regions is not None:
            record.data_region = "+".join(regions)

    def sample(self, draw: float) -> Decision:
        """The decision that ``draw`` in [0, 1) stands for."""
        low, arm = 0.0, self.arms[-1]
        if len(self.arms) > 1:
            for earlier in self.arms[:-1]:
                if draw < low + earlier.weight:
                    arm = earlier
                    break
                low += earlier.weight
        inner = min((draw - low) / arm.weight, BELOW_ONE) if arm.weight else 0.0
        return Decision(self, draw, arm, bisect_right(arm.cumulative, inner), inner)


class Decision(NamedTuple):
    """``first`` is the index of the first endpoint; ``inner`` the draw within the arm, in [0, 1)."""

    plan: Plan
    draw: float
    arm: Arm
    first: int
    inner: float

    def order(self) -> Iterator[Endpoint]:
        """Endpoints in the order in which they are tried."""
        plan = self.plan
        yield plan.endpoints[self.first]
        if plan.fallbacks:
            rest = self._redrawn() if plan.redraw else range(len(plan.endpoints))
            yield from (plan.endpoints[i] for i in rest if i != self.first)

    def _redrawn(self) -> Iterator[int]:
        """Draws without replacement. The place of a draw within its share is uniform again: it is the next draw."""
        edges = self.arm.cumulative
        shares = [high - low for low, high in zip((0.0, *edges), edges, strict=False)]
        draw, index = self.inner, self.first
        left = [i for i, share in enumerate(shares) if share > 0]
        low = edges[index] - shares[index]
        while len(left) > 1:
            draw = min(max((draw - low) / shares[index], 0.0), BELOW_ONE)
            left.remove(index)
            target = draw * sum(shares[i] for i in left)
            low = 0.0
            for index in left:
                if target < low + shares[index]:
                    break
                low += shares[index]
            draw = target
            yield index
        yield from (i for i, share in enumerate(shares) if share <= 0)

    def describe(self, record: Record) -> None:
        """Write the decision into the log record."""
        plan = self.plan
        record.policy, record.policy_version = self.arm.policy, self.arm.version
        record.draw = self.draw
        record.propensity = plan.probabilities[self.first]
        plan.describe(record)


def make_plan(
    model: str,
    endpoints: Sequence[Endpoint],
    preferences: Preferences,
    ask: Ask,
    state: State,
    left_out: Sequence[tuple[Endpoint, str]] = (),
) -> Plan:
    """Filter, weigh and order ``endpoints``. With nothing eligible ``Plan.endpoints`` is empty.

    ``left_out`` were excluded beforehand, each with its reason. Raises ``PolicyError`` when the learned policy has
    its part and gives no usable figures.
    """
    eligible, excluded = filter_endpoints(endpoints, preferences, ask)
    excluded += left_out
    fallbacks = preferences.allow_fallbacks is not False or bool(preferences.order)
    version, epoch = state.catalogue_version, state.health_epoch
    if not eligible:
        rows = _encode_candidates((), (), (), excluded)
        arms = encode_arms(())
        return Plan(model, (), (), (), tuple(excluded), rows, arms, version, epoch, fallbacks, False, preferences)
    name = strategy_of(preferences, ask, state)
    choice = STRATEGIES[name](_slate(eligible, name, preferences, ask, state))
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
        ask.service_tier if any(e.service_tier == ask.service_tier for e in chosen) else None,
    )


def strategy_of(preferences: Preferences, ask: Ask, state: State) -> str:
    """A fixed order if the request gives one, else the strategy that it names, else the state's.

    A ``sort`` fixes the order, unless request or key name the learned strategy: it is then a wish among others.
    Price shares become tool quality first for requests with tools, unless the request names its strategy.
    """
    if preferences.order:
        return "order"
    named = preferences.strategy or (state.strategy if state.named else None)
    if preferences.sort_by and not weighs(named, preferences.sort_by):
        return "exacto" if preferences.sort_by == "exacto" else "sort"
    if preferences.strategy:
        return preferences.strategy
    return "exacto" if state.strategy == "price" and ask.tools and state.auto_exacto else state.strategy


def _slate(eligible: list[Endpoint], name: str, preferences: Preferences, ask: Ask, state: State) -> Slate:
    measures = state.measures
    tiers = [_standing(e.id, state) for e in eligible]
    flagged: frozenset[str] = frozenset()
    # An installation's learned policy keeps to good tool calls as price shares do; adjusted shares price them in.
    graded = name == "exacto" or (name == "learned" and ask.tools and state.auto_exacto)
    if graded or (name == "adjusted" and ask.tools):
        grades = quality(eligible, measures)
        flagged = frozenset(e.id for e, grade in zip(eligible, grades, strict=True) if grade == DEPRIORITISED)
        if graded:
            tiers = [tier + 3 * grade for tier, grade in zip(tiers, grades, strict=True)]
    if ask.service_tier == PRIORITY:
        tiers = [tier + 9 * (e.service_tier != PRIORITY) for tier, e in zip(tiers, eligible, strict=True)]
    if wants_speed(preferences):
        tiers = [
            tier + standing(preferences, measures.get(e.id, UNMEASURED))
            for tier, e in zip(tiers, eligible, strict=True)
        ]
    prices = [blended(e.price) if e.price else 0 for e in eligible]
    rows = sorted(zip(tiers, prices, [e.id for e in eligible], range(len(eligible)), strict=True))
    return Slate(
        [eligible[row[3]] for row in rows],
        [row[1] for row in rows],
        [row[0] for row in rows],
        flagged,
        preferences,
        ask,
        state,
    )


def _standing(endpoint: str, state: State) -> int:
    """Higher than anything else that orders endpoints: a limit before an ejection, that before an outage."""
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


def encode_arms(arms: tuple[Arm, ...]) -> msgspec.Raw:
    """``Plan.logged_arms`` of ``arms``: whoever changes one changes the other."""
    return msgspec.Raw(_encode([arm._asdict() for arm in arms]))
