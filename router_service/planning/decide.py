"""Make the decisions of one request: one for each requested model in turn, or one for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from router_service.core.caller import Constraints
from router_service.core.errors import ApiError
from router_service.core.plan import Decision, Plan
from router_service.core.preferences import Preferences
from router_service.planning.availability import no_eligible_endpoints, no_listed_endpoints
from router_service.planning.eligibility import RequestProfile
from router_service.planning.model_variants import RequestedModel, parse_model
from router_service.planning.planner import Planner

# A plan is adapted to its conversation before it is sampled.
ApplyAffinity = Callable[[Plan], Plan]


def without_affinity(plan: Plan) -> Plan:
    """Return ``plan`` unchanged, for a request that belongs to no conversation."""
    return plan


def decisions(
    planner: Planner,
    names: list[str],
    preferences: Preferences,
    profile: RequestProfile,
    draw: Callable[[], float],
    constraints: Constraints | None = None,
    apply_affinity: ApplyAffinity = without_affinity,
) -> Iterator[Decision]:
    """Yield a decision for each of ``names``, made when its turn comes; ``draw`` returns numbers in [0, 1).

    ``constraints`` are those that ``preferences`` were parsed under, by default the installation's. ``apply_affinity``
    keeps a conversation at its endpoint. A name that cannot be served is skipped while another one can. Raises
    ``ApiError`` for the last name if none can be served.
    """
    constraints = constraints or planner.installation
    if preferences.pooled and len(names) > 1:
        yield _pooled(planner, names, preferences, profile, draw, constraints, apply_affinity)
        return
    last: ApiError | None = None
    served = False
    for name in names:
        try:
            wanted = parse_model(name, planner.catalogue, profile.task)
            decision = _decide(planner, (wanted,), preferences, profile, draw, constraints, names, apply_affinity)
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
    constraints: Constraints,
    apply_affinity: ApplyAffinity,
) -> Decision:
    pool: list[RequestedModel] = []
    last: ApiError | None = None
    for name in names:
        try:
            pool.append(parse_model(name, planner.catalogue, profile.task))
        except ApiError as error:
            last = error
    if not pool and last is not None:
        raise last
    return _decide(planner, tuple(pool), preferences, profile, draw, constraints, names, apply_affinity)


def _decide(
    planner: Planner,
    pool: tuple[RequestedModel, ...],
    preferences: Preferences,
    profile: RequestProfile,
    draw: Callable[[], float],
    constraints: Constraints,
    names: list[str],
    apply_affinity: ApplyAffinity,
) -> Decision:
    plan = planner.plan(pool, preferences, profile, constraints.strategy)
    if plan.endpoints:
        return apply_affinity(plan).sample(draw())
    if plan.excluded:
        raise no_eligible_endpoints(plan, profile, constraints, names)
    first = pool[0]
    usable = bool(planner.endpoints.get(first.model))
    raise no_listed_endpoints(first.requested, first.model, first.free, usable, planner.catalogue)
