"""The decisions of one request: a plan for each wanted model in turn, or one over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from router_service.core.errors import ApiError
from router_service.core.plan import Decision, Plan
from router_service.core.preferences import Preferences
from router_service.planning.availability import no_eligible_endpoints, no_listed_endpoints
from router_service.planning.constraints import ConstraintSet
from router_service.planning.eligibility import RequestProfile
from router_service.planning.model_variants import RequestedModel, parse_model
from router_service.planning.planner import Planner

# What a conversation makes of a plan before it is sampled.
PinPlan = Callable[[Plan], Plan]


def as_planned(plan: Plan) -> Plan:
    """The plan of a request that belongs to no conversation."""
    return plan


def decisions(
    planner: Planner,
    names: list[str],
    preferences: Preferences,
    profile: RequestProfile,
    draw: Callable[[], float],
    constraints: ConstraintSet | None = None,
    hold: PinPlan = as_planned,
) -> Iterator[Decision]:
    """A decision for each of ``names``, made when it is its turn; ``draw`` gives numbers in [0, 1).

    ``constraints`` are those under which ``preferences`` were read, else the installation's alone. Raises ``ApiError``
    of the last name when none can be served; a name that cannot is passed over while another can. ``hold`` keeps
    a conversation with its endpoint.
    """
    constraints = constraints or planner.installation
    if preferences.pooled and len(names) > 1:
        yield _pooled(planner, names, preferences, profile, draw, constraints, hold)
        return
    last: ApiError | None = None
    served = False
    for name in names:
        try:
            wanted = parse_model(name, planner.catalogue)
            decision = _decide(planner, (wanted,), preferences, profile, draw, constraints, names, hold)
        except ApiError as error:
            last = error
            continue
        served = True
        yield decision
    if not served and last is not None:
        raise last


def _pooled(
    planner: Planner,
    names: list[str],
    preferences: Preferences,
    profile: RequestProfile,
    draw: Callable[[], float],
    constraints: ConstraintSet,
    hold: PinPlan,
) -> Decision:
    pool: list[RequestedModel] = []
    last: ApiError | None = None
    for name in names:
        try:
            pool.append(parse_model(name, planner.catalogue))
        except ApiError as error:
            last = error
    if not pool and last is not None:
        raise last
    return _decide(planner, tuple(pool), preferences, profile, draw, constraints, names, hold)


def _decide(
    planner: Planner,
    pool: tuple[RequestedModel, ...],
    preferences: Preferences,
    profile: RequestProfile,
    draw: Callable[[], float],
    constraints: ConstraintSet,
    names: list[str],
    hold: PinPlan,
) -> Decision:
    plan = planner.plan(pool, preferences, profile, constraints.strategy)
    if plan.endpoints:
        return hold(plan).sample(draw())
    if plan.excluded:
        raise no_eligible_endpoints(plan, profile, constraints, names)
    first = pool[0]
    usable = bool(planner.endpoints.get(first.model))
    raise no_listed_endpoints(first.requested, first.model, first.free, usable, planner.catalogue)
